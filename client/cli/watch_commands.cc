// watch and history: a session's steps.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/event_form.h"
#include "client/cli/interrupts.h"
#include "client/cli/report.h"
#include "client/cpp/service_error.h"
#include "client/cpp/watch_stream.h"

namespace corod::cli {
namespace {

// About a minute, in which a server that is being restarted comes back.
constexpr client::RetryPolicy kPatience{
    .max_attempts = 32, .first_delay = absl::Milliseconds(100), .max_delay = absl::Seconds(2), .factor = 2};

absl::StatusOr<v1::Session> Fetch(const std::string& session_id, Context& context) {
  v1::GetRequest request;
  request.set_session_id(session_id);
  absl::StatusOr<v1::GetResponse> response = context.connection->Get(request);
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_session());
}

// A stream that goes on by itself, and says so once for each time that the server is away.
class Watch {
 public:
  Watch(const std::string& session_id, std::optional<std::uint64_t> from, Context& context)
      : context_(context), stream_(context.connection, session_id, OptionsFor(from)) {}
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  absl::StatusOr<std::optional<v1::Event>> Next() {
    absl::StatusOr<std::optional<v1::Event>> event = stream_.Next();
    told_ = false;
    return event;
  }
  void Cancel() { stream_.Cancel(); }
  bool cancelled() const { return stream_.cancelled(); }

 private:
  client::WatchOptions OptionsFor(std::optional<std::uint64_t> from) {
    return {.from_step = from,
            .resumption = client::Resumption::kByStream,
            .retry = kPatience,
            .on_break = [this](const absl::Status& why) { Tell(why); }};
  }
  void Tell(const absl::Status& why) {
    if (told_ || !client::IsAway(why)) return;  // too slow: nothing is lost, and nobody can help it
    told_ = true;
    context_.output.Flush();
    context_.output.Tell(absl::StrCat("coroctl: ", FailureToText(why, context_.global), "; trying again"));
  }

  Context& context_;
  bool told_ = false;
  client::WatchStream stream_;
};

absl::Status Print(const v1::Event& event, const WatchArguments& arguments, Context& context) {
  const absl::StatusOr<std::string> line =
      context.global.format == Format::kJson ? EventToJson(event) : EventToLine(event, arguments.times);
  if (!line.ok()) return line.status();
  context.output.Print(*line);
  return absl::OkStatus();
}

// Whether no step that counts follows `event`. What is raised does not finish every session: the server knows.
bool IsLast(const v1::Event& event, const std::string& session_id, Context& context) {
  if (event.outcome().has_returned()) return true;
  if (!event.outcome().has_raised()) return false;
  const absl::StatusOr<v1::Session> session = Fetch(session_id, context);
  if (!session.ok()) return absl::IsNotFound(session.status());
  return session->state() == v1::STATE_CLOSED && session->last_outcome().step() <= event.step();
}

// Prints the steps up to `to` (unset: the one that finishes the session), and returns the exit status.
int PrintSteps(Watch& watch, std::optional<std::uint64_t> to, const WatchArguments& arguments, Context& context) {
  while (true) {
    const absl::StatusOr<std::optional<v1::Event>> event = watch.Next();
    if (absl::IsCancelled(event.status()) && watch.cancelled()) return kFine;
    if (!event.ok()) return ReportFailure(event.status(), context);
    if (!*event) {
      if (!to) return kFine;
      return ReportFailure(absl::InternalError(absl::StrCat("the server ended the history before step ", *to)),
                           context);
    }
    if (to && (*event)->step() > *to) return kFine;
    if (absl::Status status = Print(**event, arguments, context); !status.ok()) return ReportFailure(status, context);
    if (to && (*event)->step() == *to) return kFine;
    if (!to && !context.output.Flush()) return kFine;  // nobody reads on
    if (to && context.output.error() != 0) return kFine;
    if (!to && IsLast(**event, arguments.session_id, context)) return kFine;
  }
}

int RunWatch(const WatchArguments& arguments, std::optional<std::uint64_t> from, std::optional<std::uint64_t> to,
             Context& context) {
  Watch watch(arguments.session_id, from, context);
  const Interrupts interrupts([&watch](int /*signal*/) { watch.Cancel(); });
  const int status = PrintSteps(watch, to, arguments, context);
  return interrupts.signal() != 0 ? kSignal + interrupts.signal() : status;
}

// The first step to show: that asked for, or the first that is kept, in which case it is told what is missing.
std::uint64_t FirstKept(const WatchArguments& arguments, const v1::Session& session, std::uint64_t to,
                        Context& context) {
  const std::uint64_t wanted = std::max<std::uint64_t>(arguments.from.value_or(1), 1);
  const std::uint64_t first = std::max(wanted, session.earliest_step());
  const std::uint64_t trimmed = std::min(first, to + 1) - std::min(wanted, to + 1);
  if (trimmed > 0) {
    const std::string steps = trimmed == 1 ? "1 step" : absl::StrCat(trimmed, " steps");
    const bool any = first <= to;
    context.output.Tell(any ? absl::StrCat("coroctl: ", steps, " before step ", first, " ", trimmed == 1 ? "is" : "are",
                                           " no longer kept")
                            : absl::StrCat("coroctl: ", steps, " of session ", session.session_id(), " ",
                                           trimmed == 1 ? "is" : "are", " not kept"));
  }
  return first;
}

}  // namespace

int RunCommand(const WatchArguments& arguments, Context& context) {
  const absl::StatusOr<v1::Session> session = Fetch(arguments.session_id, context);
  if (!session.ok()) return ReportFailure(session.status(), context);
  if (arguments.kind == WatchArguments::Kind::kHistory) {
    const std::uint64_t to = std::min(arguments.to.value_or(session->steps()), session->steps());
    const std::uint64_t from = FirstKept(arguments, *session, to, context);
    return from > to ? kFine : RunWatch(arguments, from, to, context);
  }
  const bool finished = session->state() == v1::STATE_CLOSED;
  std::optional<std::uint64_t> from = arguments.from;
  // 0: from the first that is kept.
  if (from && *from == 0) from = std::max<std::uint64_t>(session->earliest_step(), 1);
  if (finished && from.value_or(session->steps() + 1) > session->steps()) {
    context.output.Tell(absl::StrCat("coroctl: session ", arguments.session_id, " is finished; it has ",
                                     session->steps(), session->steps() == 1 ? " step" : " steps"));
    return kFine;
  }
  // So that nothing is lost should the connection break before the first step. An ephemeral session's log is its
  // memory.
  if (!from && session->durability() == v1::DURABILITY_DURABLE) from = session->steps() + 1;
  return RunWatch(arguments, from, finished ? std::optional(session->steps()) : std::nullopt, context);
}

}  // namespace corod::cli
