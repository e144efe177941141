// pipe: lines of stdin to a coroutine, what it yields to stdout.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/files.h"
#include "client/cli/input_plan.h"
#include "client/cli/interrupts.h"
#include "client/cli/json_value.h"
#include "client/cli/line_reader.h"
#include "client/cli/pipeline_text.h"
#include "client/cli/progress.h"
#include "client/cli/report.h"
#include "client/cli/wakeup.h"
#include "client/cpp/codec.h"
#include "client/cpp/drive_stream.h"
#include "client/cpp/service_error.h"
#include "server/base/mutex.h"

namespace corod::cli {
namespace {

constexpr absl::Duration kIdleTimeout = absl::Minutes(10);

SendAs KindOf(const v1::Coroutine& definition) {
  if (definition.sends_kind() == v1::VALUE_KIND_TEXT) return SendAs::kText;
  if (definition.sends_kind() == v1::VALUE_KIND_BYTES) return SendAs::kBytes;
  return SendAs::kJson;
}

// Whose definition says how lines are sent: that of what is created, or of a pipeline's first stage.
v1::GetCoroutineRequest WhoReads(const CreateArguments& create) {
  v1::GetCoroutineRequest who;
  who.set_name(create.coroutine);
  who.set_version(create.version);
  const Map* arguments = &create.arguments;
  while (who.name() == kPipelineCoroutine && arguments != nullptr) {
    const Value* stages = arguments->Find("stages");
    if (stages == nullptr || stages->kind() != Value::Kind::kList || stages->AsList().empty()) break;
    const Value& first = stages->AsList().front();
    const Value* name = first.kind() == Value::Kind::kMap ? first.AsMap().Find("coroutine") : nullptr;
    if (name == nullptr || name->kind() != Value::Kind::kText) break;
    who.set_name(name->AsText());
    who.set_version(0);
    const Value* of_first = first.AsMap().Find("arguments");
    arguments = of_first != nullptr && of_first->kind() == Value::Kind::kMap ? &of_first->AsMap() : nullptr;
  }
  return who;
}

// Ends the reading of stdin and the stream, from any thread.
class Stopper {
 public:
  void Stop() {
    wakeup_.Wake();
    MutexLock lock(mutex_);
    stopped_ = true;
    if (stream_ != nullptr) stream_->Cancel();
  }
  // `stream` is cancelled by Stop, also by one that came before; nullptr: there is none.
  void Use(client::DriveStream* stream) {
    MutexLock lock(mutex_);
    stream_ = stream;
    if (stream_ != nullptr && stopped_) stream_->Cancel();
  }
  int fd() const { return wakeup_.fd(); }

 private:
  Wakeup wakeup_;
  Mutex mutex_;
  client::DriveStream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

// A line's number and whether its outcome was asked for, in a command's tag.
std::uint64_t TagOf(std::uint64_t line, bool quiet) { return line * 2 + (quiet ? 1 : 0); }
std::uint64_t LineOf(const v1::Reply& reply) { return reply.tag() / 2; }
bool IsQuiet(const v1::Reply& reply) { return reply.tag() % 2 == 1; }

// One run of lines through a session: this thread reads and sends, another one receives and prints.
class Feed {
 public:
  Feed(const FeedArguments& arguments, InputPlan plan, std::string session_id, Stopper& stopper, Context& context)
      : arguments_(arguments),
        plan_(plan),
        session_id_(std::move(session_id)),
        stopper_(stopper),
        context_(context),
        stream_(context.connection) {
    stopper_.Use(&stream_);
  }
  ~Feed() { stopper_.Use(nullptr); }
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  // Returns the exit status. What was wrong with the input or the stream, and how the coroutine ended, is told.
  int Run() {
    absl::Status input;
    {
      const bool shown = context_.io.err_is_terminal && (arguments_.last || !context_.io.out_is_terminal);
      Progress progress(shown, context_.dependencies.clock, context_.output);
      std::thread printer(&Feed::PrintReplies, this, std::ref(progress));
      input = SendLines();
      stream_.End();
      printer.join();
    }
    context_.output.Flush();
    int status = kFine;
    if (ending_) {
      status = ReportEnding();
    } else if (!unreadable_.ok()) {
      status = ReportFailure(unreadable_, context_);
    } else if (!stream_status_.ok() && !absl::IsCancelled(stream_status_)) {
      status = ReportFailure(stream_status_, context_);
    }
    if (input.ok()) return status;
    context_.output.Tell(absl::StrCat("coroctl: ", input.message()));
    return status == kFine ? kWrongUsage : status;
  }

  // How many lines were sent. REQUIRES: Run has returned.
  std::uint64_t lines() const { return lines_; }

 private:
  // Until the end of stdin, a stop, or the end of the stream, which the printer tells about. An error is one of the
  // input.
  absl::Status SendLines() {
    LineReader reader(context_.io.in, stopper_.fd(), plan_.cut);
    std::optional<v1::Command> held;  // with --last: the newest one, which may be the last
    while (true) {
      absl::StatusOr<std::optional<LineReader::Line>> line = reader.Next();
      if (!line.ok()) return line.status();
      if (!*line) break;
      const std::uint64_t number = (*line)->number;
      const absl::StatusOr<Value> value = ValueOf((*line)->bytes, plan_.send_as);
      if (!value.ok()) return WrongLine(**line, value.status());
      absl::StatusOr<v1::Value> encoded = client::Encode(*value);
      if (!encoded.ok()) return WrongLine(**line, encoded.status());
      v1::Command command;
      command.set_session_id(session_id_);
      *command.mutable_send() = *std::move(encoded);
      command.set_tag(TagOf(number, false));
      ++lines_;
      if (arguments_.last) {
        std::optional<v1::Command> before = std::exchange(held, std::move(command));
        if (!before) continue;
        before->set_quiet(true);
        before->set_tag(before->tag() | 1);
        command = *std::move(before);
      }
      if (!stream_.Push(std::move(command)).ok()) return absl::OkStatus();
    }
    // Not OK: the stream has ended, and the printer knows why.
    if (held) static_cast<void>(stream_.Push(*std::move(held)));
    return absl::OkStatus();
  }

  void PrintReplies(Progress& progress) {
    std::uint64_t answered = 0;
    while (true) {
      absl::StatusOr<std::optional<v1::Reply>> reply = stream_.Read();
      if (!reply.ok()) stream_status_ = reply.status();
      if (!reply.ok() || !*reply) break;
      if (!(*reply)->outcome().has_yielded()) {
        ending_ = **std::move(reply);
        break;
      }
      progress.Update(++answered);
      if (!IsQuiet(**reply)) unreadable_ = Print(**reply);
      if (!unreadable_.ok()) break;
      if (!stream_.HasReply() && !context_.output.Flush()) break;  // nobody reads stdout any more
    }
    stopper_.Stop();
  }

  absl::Status Print(const v1::Reply& reply) {
    const absl::StatusOr<Outcome> outcome = client::Decode(reply.outcome());
    if (!outcome.ok()) return outcome.status();
    context_.output.Print(context_.global.format == Format::kJson
                              ? OutcomeToJson(*outcome, reply.outcome().step(), reply.replayed())
                              : ToJson(outcome->value));
    return absl::OkStatus();
  }

  // The reply that was no yield.
  int ReportEnding() {
    const std::string line = NameOfLine(plan_, LineOf(*ending_));
    if (ending_->has_failure()) {
      const absl::Status failure = client::StatusOf(ending_->failure());
      context_.output.Tell(absl::StrCat("coroctl: ", line, ": ", FailureToText(failure, context_.global)));
      return kServiceFailed;
    }
    const std::optional<v1::Outcome> whole = IsQuiet(*ending_) ? FetchOutcome() : std::nullopt;
    const int status = ReportOutcome({.outcome = whole ? *whole : ending_->outcome(),
                                      .replayed = ending_->replayed(),
                                      .quiet = IsQuiet(*ending_) && !whole},
                                     context_);
    context_.output.Flush();
    context_.output.Tell(absl::StrCat("coroctl: the coroutine ", status == kRaised ? "raised" : "returned", " at ",
                                      line, "; nothing after it counts"));
    return status;
  }

  // What the quiet ending was, if the server still knows.
  std::optional<v1::Outcome> FetchOutcome() {
    v1::GetRequest request;
    request.set_session_id(session_id_);
    const absl::StatusOr<v1::GetResponse> response = context_.connection->Get(request);
    if (!response.ok()) {
      ReportFailure(response.status(), context_);
      return std::nullopt;
    }
    const v1::Outcome& last = response->session().last_outcome();
    return last.step() == ending_->outcome().step() ? std::optional<v1::Outcome>(last) : std::nullopt;
  }

  const FeedArguments& arguments_;
  const InputPlan plan_;
  const std::string session_id_;
  Stopper& stopper_;
  Context& context_;
  client::DriveStream stream_;
  std::uint64_t lines_ = 0;
  // The printer's, until it is joined.
  std::optional<v1::Reply> ending_;
  absl::Status stream_status_;
  absl::Status unreadable_;
};

// The session of a pipe: closed when this goes, at the latest.
class PipeSession {
 public:
  PipeSession(std::string id, absl::Duration idle_timeout, Context& context)
      : id_(std::move(id)), idle_timeout_(idle_timeout), context_(context) {}
  ~PipeSession() {
    if (!closed_) Close();
  }
  PipeSession(const PipeSession&) = delete;
  PipeSession& operator=(const PipeSession&) = delete;

  const std::string& id() const { return id_; }

  // Shows what the close returned, if it is not null, or raised. Returns the exit status of that.
  int Close() {
    closed_ = true;
    v1::CloseRequest request;
    request.set_session_id(id_);
    request.set_force(true);
    const absl::StatusOr<v1::CloseResponse> response = context_.connection->Close(std::move(request));
    if (!response.ok()) {
      context_.output.Flush();
      context_.output.Tell(absl::StrCat("coroctl: cannot close session ", id_, ": ",
                                        FailureToText(response.status(), context_.global),
                                        "; if it is still there, it closes when ", "it has been idle for ",
                                        IdleTimeoutToText(DurationToProto(idle_timeout_))));
      return kServiceFailed;
    }
    const v1::Outcome& outcome = response->outcome();
    if (outcome.has_returned() && outcome.returned().kind_case() == v1::Value::KIND_NOT_SET) return kFine;
    const int status = ReportOutcome({.outcome = outcome, .replayed = response->replayed()}, context_);
    if (status == kRaised) context_.output.Tell("coroctl: the coroutine raised when it was closed");
    return status;
  }

 private:
  const std::string id_;
  const absl::Duration idle_timeout_;
  Context& context_;
  bool closed_ = false;
};

// Everything between the first yield and the close.
int RunLines(const FeedArguments& arguments, const InputPlan& plan, const v1::CreateResponse& created, Stopper& stopper,
             Context& context) {
  const StepReport first{.outcome = created.outcome(), .replayed = created.replayed()};
  if (!created.outcome().has_yielded()) return ReportOutcome(first, context);
  if (arguments.first) {
    if (const int status = ReportOutcome(first, context); status != kFine) return status;
    context.output.Flush();
  }
  Feed feed(arguments, plan, created.session().session_id(), stopper, context);
  const int status = feed.Run();
  if (status == kFine && arguments.last && !arguments.first && feed.lines() == 0) return ReportOutcome(first, context);
  return status;
}

}  // namespace

int RunCommand(const PipeArguments& arguments, Context& context) {
  const absl::StatusOr<v1::GetCoroutineResponse> definition =
      context.connection->GetCoroutine(WhoReads(arguments.create));
  if (!definition.ok()) return ReportFailure(definition.status(), context);
  const absl::StatusOr<InputPlan> plan =
      PlanInput(arguments.feed, KindOf(definition->coroutine()), definition->coroutine().sends());
  if (!plan.ok()) return TellWrongUsage(plan.status(), context);

  CreateArguments create = arguments.create;
  create.prime = true;
  if (!create.idle_timeout) create.idle_timeout = kIdleTimeout;
  absl::StatusOr<v1::CreateRequest> request = RequestOf(create);
  if (!request.ok()) return ReportFailure(request.status(), context);

  Stopper stopper;
  Interrupts interrupts([&stopper](int /*signal*/) { stopper.Stop(); });
  const absl::StatusOr<v1::CreateResponse> created = context.connection->Create(*std::move(request));
  if (!created.ok()) return ReportFailure(created.status(), context);
  PipeSession session(created->session().session_id(), *create.idle_timeout, context);
  int status = kFine;
  if (interrupts.signal() == 0) status = RunLines(arguments.feed, *plan, *created, stopper, context);
  const int closed = session.Close();
  if (status == kFine) status = closed;
  return interrupts.signal() != 0 ? kSignal + interrupts.signal() : status;
}

}  // namespace corod::cli
