#include <memory>
#include <string>
#include <utility>

#include "server/base/failure.h"
#include "server/base/uuid.h"
#include "server/session/refusals.h"
#include "server/session/session_id.h"
#include "server/session/sessions.h"

// What is made of the logs of sessions: forks, files, watches.
namespace corod {

void Sessions::Fork(ForkSpec spec, GetDone done) {
  if (spec.new_session_id.empty()) spec.new_session_id = MakeSessionId(spec.owner, spec.request_id);
  for (const std::string& id : {spec.session_id, spec.new_session_id}) {
    if (absl::Status checked = CheckSessionId(id); !checked.ok()) {
      done(checked);
      return;
    }
  }
  if (absl::Status labels = CheckLabels(spec.labels); !labels.ok()) {
    done(labels);
    return;
  }
  RunWaiting([this, spec = std::move(spec), done = std::move(done)] {
    const std::uint64_t fingerprint = FingerprintOf(spec);
    // A Fork that is sent again finds what it made, whatever became of the original.
    Open(spec.new_session_id, [this, spec, fingerprint, done](const absl::StatusOr<SessionPtr>& opened) {
      if (!opened.ok()) {
        done(opened.status());
      } else if (const SessionPtr& existing = *opened) {
        if (spec.request_id.empty() || !existing->KnowsCreate(spec.request_id)) {
          done(Exists(spec.new_session_id, existing->uid(), false));
        } else if (existing->create_fingerprint() != fingerprint) {
          done(Failed(Reason::REQUEST_ID_REUSED,
                      "request_id stands for another command; take a new id for each command",
                      {{"session_id", existing->local_id()}, {"request_id", spec.request_id}}));
        } else {
          done(existing->Describe());
        }
      } else {
        environment_.executor.Run([this, spec, fingerprint, done] { MakeFork(spec, fingerprint, done); });
      }
    });
  });
}

void Sessions::MakeFork(const ForkSpec& spec, std::uint64_t fingerprint, const GetDone& done) {
  // The id was taken meanwhile: perhaps by this very Fork, sent before.
  const auto taken = [this, spec, done] {
    if (spec.request_id.empty()) {
      done(Exists(spec.new_session_id, "", false));
    } else {
      Fork(spec, done);
    }
  };
  if (environment_.draining.load()) {
    done(Draining());
    return;
  }
  const Account& account = accounts_.Of(NamespaceOf(spec.new_session_id));
  if (absl::Status room = account.CheckNewSession(/*durable=*/true); !room.ok()) {
    done(room);
    return;
  }
  const SessionPtr live = table_.Find(spec.session_id);
  if (live && !live->durable()) {
    done(NotDurable(spec.session_id, "log to be forked from"));
    return;
  }
  absl::StatusOr<std::optional<Journal::Stored>> found = journal_.Find(spec.session_id);
  if (!found.ok() || !*found) {
    absl::Status status =
        absl::IsDataLoss(found.status()) ? ProblemStatus(spec.session_id, DamagedHead()) : found.status();
    done(found.ok() ? NotFound(spec.session_id) : status);
    return;
  }
  const Journal::Stored& stored = **found;
  const Step step = spec.at_step.value_or(stored.IsSettled() ? stored.head.steps : stored.logged_steps);
  absl::StatusOr<History::Copy> copy = history_.CopyAt(stored.head, step, random_);
  if (!copy.ok()) {
    done(copy.status());
    return;
  }
  Head& head = copy->stored.head;
  head.key = {spec.new_session_id, accounts_.Of(NamespaceOf(spec.new_session_id)).NewUid(random_)};
  Begin(head);
  head.create_request_id = spec.request_id;
  head.create_fingerprint = spec.request_id.empty() ? 0 : fingerprint;
  head.create_primed = false;
  head.labels = spec.labels;
  head.expire_time = absl::InfiniteFuture();
  PlaceCopy(*std::move(copy), done, taken);
}

void Sessions::Begin(Head& head) const {
  head.create_time = head.last_used_time = environment_.clock.Now();
  if (head.state == CoroutineState::kClosed) head.finish_time = head.create_time;
}

void Sessions::PlaceCopy(History::Copy copy, const GetDone& done, const std::function<void()>& taken) {
  const SessionPtr session = factory_.FromCopy(copy);
  session->Hold();
  BeginCreating(*session);
  session->CreateInJournal(std::move(copy.stored), nullptr, [this, session, done, taken](const absl::Status& status) {
    EndCreating(*session);
    if (status.ok()) {
      done(session->Describe());
      return;
    }
    Forget(*session);
    if (IsConflict(status)) {
      taken();
    } else {
      done(status);
    }
  });
  if (absl::Status admitted = Admit(session, SessionPtr()); !admitted.ok()) {
    EndCreating(*session);
    session->Abandon();
    if (IsConflict(admitted)) {
      taken();
    } else {
      done(admitted);
    }
    return;
  }
  session->Release();
}

void Sessions::Export(std::string_view id, ExportSink sink, ExportDone done, ExportBegun begun) {
  RunWaiting([this, id = std::string(id), sink = std::move(sink), done = std::move(done), begun = std::move(begun)] {
    const SessionPtr live = table_.Find(id);
    if (live && !live->durable()) {
      done(NotDurable(id, "log to be exported"));
      return;
    }
    const absl::StatusOr<SessionInfo> info = overview_.GetLogged(id);
    if (!info.ok()) {
      done(info.status());
    } else if (info->key.uid.empty()) {
      done(ProblemStatus(id, DamagedHead()));
    } else {
      if (begun) begun(*info);
      ExportNext(history_.Export(*info), sink, done);
    }
  });
}

void Sessions::ExportNext(const std::shared_ptr<History::File>& file, const ExportSink& sink, const ExportDone& done) {
  absl::StatusOr<std::string> part = file->Next();
  if (!part.ok() || part->empty()) {
    done(part.status());
    return;
  }
  sink(*std::move(part), [this, file, sink, done](bool wants_more) {
    if (wants_more) {
      RunWaiting([this, file, sink, done] { ExportNext(file, sink, done); });
    } else {
      done(absl::OkStatus());
    }
  });
}

void Sessions::Import(std::string file, const std::string& name_space, std::string session_id, GetDone done) {
  if (!journal_.IsDurable()) {
    done(Failed(Reason::DURABILITY_UNAVAILABLE, "this server keeps no journal, so nothing can be imported"));
    return;
  }
  if (absl::Status checked = session_id.empty() ? absl::OkStatus() : CheckSessionId(session_id); !checked.ok()) {
    done(checked);
    return;
  }
  RunWaiting([this, file = std::move(file), name_space, session_id = std::move(session_id), done = std::move(done)] {
    if (environment_.draining.load()) {
      done(Draining());
      return;
    }
    if (absl::Status room = accounts_.Of(name_space).CheckNewSession(/*durable=*/true); !room.ok()) {
      done(room);
      return;
    }
    absl::StatusOr<History::Copy> copy = history_.Import(file, name_space);
    if (!copy.ok()) {
      done(copy.status());
      return;
    }
    Head& head = copy->stored.head;
    head.key = {session_id.empty() ? head.key.id : session_id, accounts_.Of(name_space).NewUid(random_)};
    Begin(head);
    // What is over was meant for the life before.
    if (head.expire_time <= head.create_time) head.expire_time = absl::InfiniteFuture();
    const std::string id = head.key.id;
    auto shared = std::make_shared<History::Copy>(*std::move(copy));
    Open(id, [this, id, shared, done](const absl::StatusOr<SessionPtr>& opened) {
      if (!opened.ok()) {
        done(opened.status());
      } else if (*opened) {
        done(Exists(id, (*opened)->uid(), false));
      } else {
        PlaceCopy(std::move(*shared), done, [id, done] { done(Exists(id, "", false)); });
      }
    });
  });
}

void Sessions::StartWatch(std::string_view id, std::optional<Step> from_step, std::function<void()> wake,
                          WatchDone done) {
  RunWaiting([this, id = std::string(id), from_step, wake = std::move(wake), done = std::move(done)] {
    if (environment_.draining.load()) {
      done(Draining());
      return;
    }
    absl::StatusOr<SessionInfo> info = overview_.Get(id, std::nullopt);
    if (!info.ok() || info->key.uid.empty()) {
      done(info.ok() ? ProblemStatus(id, DamagedHead()) : info.status());
      return;
    }
    Watch::Options options{
        .head = static_cast<const Head&>(*info), .from_step = from_step, .reads_log = from_step && info->durable};
    if (from_step && *from_step == 0) options.from_step = 1;
    if (options.reads_log && *options.from_step < info->earliest_step) {
      done(Trimmed(*info, *options.from_step));
      return;
    }
    const auto watch = std::make_shared<Watch>(environment_.replay, environment_.executor, options, wake);
    watchers_.Add(info->key.uid, watch);
    // Looked at after it is told of every step, so that none is missed between the two.
    info = overview_.Get(id, std::nullopt);
    if (info.ok() && !info->durable && from_step && options.from_step <= info->steps) {
      watchers_.Remove(info->key.uid, watch.get());
      done(NotDurable(id, "history; leave from_step out to see what comes next"));
      return;
    }
    const bool forgotten =
        info.ok() ? info->key.uid != options.head.key.uid : IsFailure(info.status(), Reason::SESSION_NOT_FOUND);
    if (!info.ok() && !forgotten) {
      watchers_.Remove(options.head.key.uid, watch.get());
      done(info.status());
      return;
    }
    if (forgotten) {
      watch->OnForgotten();
    } else if (!options.reads_log && info->state == CoroutineState::kClosed) {
      watch->End(absl::OkStatus());
    }
    done(watch);
  });
}

void Sessions::EndWatch(const std::shared_ptr<Watch>& watch) { watchers_.Remove(watch->head().key.uid, watch.get()); }

}  // namespace corod
