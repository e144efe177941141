#include "server/session/definitions.h"

#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "server/base/failure.h"
#include "server/coroutine/utf8.h"
#include "server/log/log.h"

namespace corod {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxSourceBytes = std::size_t{1} << 20;

// What a callback on another thread says, for who has to wait for it.
class Awaited {
 public:
  void Set(absl::Status status) {
    const MutexLock lock(mutex_);
    status_ = std::move(status);
    set_.NotifyAll();
  }
  absl::Status Wait() {
    const MutexLock lock(mutex_);
    while (!status_) set_.Wait(mutex_);
    return *status_;
  }

 private:
  Mutex mutex_;
  CondVar set_;
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
};

// It is not known what the history says.
absl::Status Unavailable(const absl::Status& status) {
  if (IsFailure(status, Reason::JOURNAL_UNAVAILABLE)) return status;
  return Doubtful(Reason::JOURNAL_UNAVAILABLE,
                  "the change may have been made; make it again: " + std::string(status.message()), {},
                  absl::Seconds(1));
}

absl::Status BuiltIn(const std::string& name) {
  return Failed(Reason::COROUTINE_BUILT_IN,
                "coroutine '" + name +
                    "' comes with this server, so that it can neither be defined nor deleted; take another name",
                {{"coroutine", name}});
}

absl::Status CheckSpec(const Definitions::Spec& spec) {
  if (!Catalog::IsName(spec.name)) {
    return Failed(Reason::INVALID_ARGUMENTS,
                  "a coroutine's name is letters, digits and '_', first a letter, 128 at most",
                  {{"parameter", "name"}});
  }
  if (spec.source.size() > kMaxSourceBytes || spec.documentation.size() > kMaxSourceBytes) {
    return Failed(Reason::VALUE_TOO_LARGE, "a source, and its documentation, have 1 MiB at most",
                  {{"coroutine", spec.name}});
  }
  if (!IsUtf8(spec.documentation)) {
    return Failed(Reason::INVALID_ARGUMENTS, "the documentation is not UTF-8", {{"parameter", "documentation"}});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Definitions::Open() {
  if (absl::Status read = CatchUp(); !read.ok()) return read;
  for (const Definition* definition : catalog_.Undated()) {
    CatalogEvent event{.revision = revision_ + 1,
                       .kind = CatalogEvent::Kind::kNative,
                       .name = definition->name,
                       .version = definition->version,
                       .source = {},
                       .documentation = {},
                       .time = clock_.Now()};
    const auto awaited = std::make_shared<Awaited>();
    journal_.Define(event, [awaited](absl::Status status) { awaited->Set(std::move(status)); });
    if (absl::Status status = awaited->Wait(); !status.ok()) return status;
    if (absl::Status applied = Apply(event); !applied.ok()) return applied;
  }
  return absl::OkStatus();
}

absl::Status Definitions::CatchUp() {
  while (true) {
    const absl::StatusOr<std::vector<CatalogEvent>> events = journal_.ReadCatalog(revision_, kReadBytes);
    if (!events.ok()) return events.status();
    if (events->empty()) break;
    for (const CatalogEvent& event : *events) {
      if (absl::Status applied = Apply(event); !applied.ok()) return applied;
    }
  }
  doubtful_ = false;
  return absl::OkStatus();
}

absl::Status Definitions::Apply(const CatalogEvent& event) {
  if (event.kind == CatalogEvent::Kind::kRemoved) {
    catalog_.Remove(event.name, event.revision);
  } else if (event.kind == CatalogEvent::Kind::kNative) {
    if (!catalog_.Find(event.name, event.version)) {
      COROD_LOG(kSession, kWarning,
                "a coroutine is not in this server any more; its sessions wait for a server that has it",
                {{"coroutine", event.name}, {"version", event.version}});
    }
    catalog_.Date(event.name, event.version, event.revision);
  } else {
    // One in another namespace is only hidden by its own.
    if (catalog_.IsNative(event.name)) {
      return absl::FailedPreconditionError("coroutine '" + event.name + "' was defined while a server ran (version " +
                                           std::to_string(event.version) +
                                           "), and this server brings one of that name; give that one another name");
    }
    CountVersion(NamespaceOf(event.name));
    std::variant<Definition, std::string> compiled =
        compile_(LocalName(event.name), event.version, event.source, event.documentation);
    if (const auto* wrong = std::get_if<std::string>(&compiled)) {
      COROD_LOG(kSession, kError, "a coroutine cannot be used, and its sessions wait",
                {{"coroutine", event.name}, {"version", event.version}, {"error", *wrong}});
      catalog_.Date(event.name, event.version, event.revision);
    } else {
      Definition& definition = std::get<Definition>(compiled);
      if (definition.name != event.name) definition.name_space = NamespaceOf(event.name);
      catalog_.Add(std::move(definition), event.revision);
    }
  }
  revision_ = event.revision;
  return absl::OkStatus();
}

void Definitions::Enqueue(std::function<void()> change) {
  {
    const MutexLock lock(mutex_);
    changes_.push_back(std::move(change));
    if (busy_) return;
    busy_ = true;
  }
  executor_.Run([this] { Next(); });
}

void Definitions::Next() {
  std::function<void()> change;
  {
    const MutexLock lock(mutex_);
    busy_ = !changes_.empty();
    if (!busy_) return;
    change = std::move(changes_.front());
    changes_.pop_front();
  }
  change();
}

void Definitions::Append(CatalogEvent event, std::function<void(absl::Status)> done) {
  journal_.Define(std::move(event), [this, done = std::move(done)](const absl::Status& status) {
    executor_.Run([this, done, status] {
      absl::Status answer = status;
      if (absl::IsAborted(answer)) {
        const absl::Status read = CatchUp();
        doubtful_ = !read.ok();
        if (!read.ok()) answer = Unavailable(read);
      } else if (!answer.ok()) {
        doubtful_ = true;
        answer = Unavailable(answer);
      }
      done(answer);
    });
  });
}

void Definitions::Define(Spec spec, DefineDone done) {
  if (absl::Status checked = CheckSpec(spec); !checked.ok()) {
    done(checked);
    return;
  }
  Enqueue([this, spec = std::move(spec), done = std::move(done)] { DefineNow(spec, done); });
}

void Definitions::Remove(const std::string& name_space, const std::string& name, RemoveDone done) {
  Enqueue([this, name = Qualified(name_space, name), done = std::move(done)] { RemoveNow(name, done); });
}

absl::Status Definitions::CheckRoom(const Spec& spec) const {
  const auto found = versions_of_.find(spec.name_space);
  if ((found == versions_of_.end() ? 0 : found->second) >= spec.most_versions) {
    const std::string most = std::to_string(spec.most_versions);
    return Failed(Reason::TOO_MANY_DEFINITIONS,
                  "namespace '" + spec.name_space + "' has the " + most +
                      " versions of coroutines that it may; define what changes little once, with parameters",
                  {{"coroutine", spec.name}, {"namespace", spec.name_space}, {"max_definitions", most}});
  }
  if (versions_ < kMaxVersions) return absl::OkStatus();
  return Failed(Reason::TOO_MANY_DEFINITIONS,
                "the catalog has " + std::to_string(kMaxVersions) + " versions, and takes no more",
                {{"coroutine", spec.name}});
}

void Definitions::CountVersion(std::string_view name_space) {
  ++versions_;
  ++versions_of_[std::string(name_space)];
}

void Definitions::DefineNow(const Spec& spec, const DefineDone& done) {
  const auto answer = [&](absl::StatusOr<const Definition*> answer) {
    done(std::move(answer));
    Next();
  };
  if (doubtful_) {
    if (absl::Status read = CatchUp(); !read.ok()) return answer(Unavailable(read));
  }
  const std::string name = Qualified(spec.name_space, spec.name);
  const Definition* newest = catalog_.Find(spec.name, 0, spec.name_space);
  if (catalog_.IsNative(spec.name)) return answer(BuiltIn(spec.name));
  if (newest && newest->source == spec.source) return answer(newest);
  if (absl::Status room = CheckRoom(spec); !room.ok()) return answer(room);
  const std::uint32_t version = catalog_.LastVersion(name) + 1;
  std::variant<Definition, std::string> compiled = compile_(spec.name, version, spec.source, spec.documentation);
  if (const auto* wrong = std::get_if<std::string>(&compiled)) {
    return answer(Failed(Reason::INVALID_SOURCE, *wrong, {{"coroutine", spec.name}}));
  }
  CatalogEvent event{.revision = revision_ + 1,
                     .kind = CatalogEvent::Kind::kLua,
                     .name = name,
                     .version = version,
                     .source = spec.source,
                     .documentation = spec.documentation,
                     .time = clock_.Now()};
  // Checked as the catalog will, before it is kept.
  const auto definition = std::make_shared<Definition>(std::get<Definition>(std::move(compiled)));
  if (name != spec.name) definition->name_space = spec.name_space;
  try {
    Catalog::Check(*definition);
  } catch (const std::invalid_argument& e) {
    return answer(Failed(Reason::INVALID_SOURCE, e.what(), {{"coroutine", spec.name}}));
  }
  Append(event, [this, spec, done, event, definition](const absl::Status& status) {
    if (absl::IsAborted(status)) {
      DefineNow(spec, done);
      return;
    }
    if (status.ok()) {
      catalog_.Add(*definition, event.revision);
      revision_ = event.revision;
      CountVersion(spec.name_space);
      done(catalog_.Find(spec.name, event.version, spec.name_space));
    } else {
      done(status);
    }
    Next();
  });
}

void Definitions::RemoveNow(const std::string& name, const RemoveDone& done) {
  const auto answer = [&](const absl::Status& status) {
    done(status);
    Next();
  };
  if (doubtful_) {
    if (absl::Status read = CatchUp(); !read.ok()) return answer(Unavailable(read));
  }
  const std::string local(LocalName(name));
  if (catalog_.IsNative(local)) return answer(BuiltIn(local));
  if (!catalog_.Find(local, 0, NamespaceOf(name))) {
    return answer(Failed(Reason::COROUTINE_NOT_FOUND,
                         "no coroutine '" + local + "' in the catalog; ListCoroutines shows what there is",
                         {{"coroutine", local}}));
  }
  CatalogEvent event{.revision = revision_ + 1,
                     .kind = CatalogEvent::Kind::kRemoved,
                     .name = name,
                     .version = 0,
                     .source = {},
                     .documentation = {},
                     .time = clock_.Now()};
  Append(event, [this, name, done, event](const absl::Status& status) {
    if (absl::IsAborted(status)) {
      RemoveNow(name, done);
      return;
    }
    if (status.ok()) {
      catalog_.Remove(name, event.revision);
      revision_ = event.revision;
    }
    done(status);
    Next();
  });
}

}  // namespace corod
