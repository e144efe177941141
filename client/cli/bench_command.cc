// bench: keeps the server busy with sends to sessions of its own, and measures.
#include <grpcpp/channel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/bench_form.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/interrupts.h"
#include "client/cli/report.h"
#include "client/cpp/codec.h"
#include "client/cpp/service_error.h"
#include "client/load/drive_load.h"
#include "client/load/sessions.h"
#include "client/load/unary_load.h"
#include "server/base/mutex.h"

namespace corod::cli {
namespace {

constexpr absl::Duration kWarmUp = absl::Milliseconds(500);
// Beyond the run: closes what could not be deleted.
constexpr absl::Duration kIdleTimeout = absl::Minutes(10);
// Messages that are serialized before, at least; then every session is in one.
constexpr std::uint64_t kMessages = 64;

// One of the load generators.
struct Load {
  std::function<absl::StatusOr<load::Found>(absl::Duration)> run;
  std::function<void()> stop;
};

Load MakeUnary(const BenchArguments& arguments, std::shared_ptr<grpc::Channel> channel, const load::IdOf& id_of,
               const v1::Value& value) {
  load::Deck deck(arguments.sessions);
  auto load =
      std::make_shared<load::UnaryLoad>(std::move(channel), load::SendRequests(arguments.sessions, deck, id_of, value),
                                        load::UnaryLoad::Options{.method = "/corod.v1.CoroutineService/Send",
                                                                 .check = &load::CheckSendResponse,
                                                                 .outstanding = arguments.outstanding});
  return {.run = [load, rate = arguments.rate](
                     absl::Duration duration) { return rate ? load->RunAtRate(duration, *rate) : load->Run(duration); },
          .stop = [load] { load->Stop(); }};
}

Load MakeDrive(const BenchArguments& arguments, std::shared_ptr<grpc::Channel> channel, const load::IdOf& id_of,
               const v1::Value& value) {
  load::Deck deck(arguments.sessions);
  const std::uint64_t batch = arguments.batch;
  const std::uint64_t messages = std::max(kMessages, (arguments.sessions + batch - 1) / batch);
  auto load = std::make_shared<load::DriveLoad>(
      std::move(channel), load::DriveRequests(messages, batch, deck, id_of, value),
      load::DriveLoad::Options{.batch = batch, .streams = arguments.streams, .outstanding = arguments.outstanding});
  return {.run = [load](absl::Duration duration) { return load->Run(duration); }, .stop = [load] { load->Stop(); }};
}

// Stops what is going on, from any thread.
class Stopper {
 public:
  void Stop() {
    const MutexLock lock(mutex_);
    stopped_ = true;
    if (stop_) stop_();
  }
  // `stop` is called by Stop, also by one that came before.
  void Use(std::function<void()> stop) {
    const MutexLock lock(mutex_);
    stop_ = std::move(stop);
    if (stopped_) stop_();
  }
  const std::atomic<bool>& stopped() const { return stopped_; }

 private:
  Mutex mutex_;
  std::function<void()> stop_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> stopped_ = false;
};

// What is wrong with the sessions or with the load: told, and returned as the exit status.
int ReportWrong(const absl::Status& status, Context& context) {
  const bool coroutine = absl::IsFailedPrecondition(status) && client::ErrorOf(status).reason.empty();
  if (!coroutine) return ReportFailure(status, context);
  context.output.Flush();
  context.output.Tell(absl::StrCat("coroctl: ", status.message()));
  return kRaised;
}

// The sessions of a run: deleted when this goes, at the latest. Their ids are UUIDs with a beginning in common.
class BenchSessions {
 public:
  BenchSessions(std::shared_ptr<grpc::Channel> channel, Context& context)
      : channel_(std::move(channel)),
        context_(context),
        prefix_(absl::StrFormat("%08x", context.dependencies.random->Next() >> 32)) {}
  ~BenchSessions() { Delete(); }
  BenchSessions(const BenchSessions&) = delete;
  BenchSessions& operator=(const BenchSessions&) = delete;

  std::string IdOf(std::uint64_t number) const {
    return prefix_ + load::SessionId(prefix_, number).substr(prefix_.size());
  }

  // OK too if it was stopped before it had made them all.
  absl::Status Make(std::uint64_t count, const v1::CreateRequest& model, const std::atomic<bool>& stopped) {
    idle_timeout_ = model.idle_timeout();
    load::Sent sent = load::CreateSessions(
        channel_, count, model, [this](std::uint64_t number) { return IdOf(number); }, {.stopped = &stopped});
    count_ = sent.commands;
    return std::move(sent.status);
  }

  // Returns the exit status; tells what is wrong.
  int Delete() {
    const std::uint64_t count = std::exchange(count_, 0);
    const absl::Status status =
        load::DeleteSessions(channel_, count, [this](std::uint64_t number) { return IdOf(number); });
    if (status.ok()) return kFine;
    context_.output.Flush();
    context_.output.Tell(absl::StrCat("coroctl: cannot delete the sessions, whose ids begin with ", prefix_, ": ",
                                      FailureToText(status, context_.global), "; those that are still there close ",
                                      "when they have been idle for ", IdleTimeoutToText(idle_timeout_)));
    return kServiceFailed;
  }

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  Context& context_;
  const std::string prefix_;
  google::protobuf::Duration idle_timeout_;
  std::uint64_t count_ = 0;  // that may be there
};

absl::StatusOr<v1::CreateRequest> ModelOf(const BenchArguments& arguments) {
  CreateArguments create = arguments.create;
  create.prime = true;
  create.idle_timeout = arguments.duration + kIdleTimeout;
  return RequestOf(create);
}

// Makes the sessions, sends to them, and shows what came of it. Returns the exit status.
int Measure(const BenchArguments& arguments, const v1::CreateRequest& model,
            const std::shared_ptr<grpc::Channel>& channel, BenchSessions& sessions, Stopper& stopper,
            Context& context) {
  const absl::StatusOr<v1::Value> value = client::Encode(arguments.value);
  if (!value.ok()) return ReportFailure(value.status(), context);
  const auto id_of = [&sessions](std::uint64_t number) { return sessions.IdOf(number); };
  const bool drives = arguments.mode == BenchArguments::Mode::kDrive;
  const Load load = (drives ? MakeDrive : MakeUnary)(arguments, channel, id_of, *value);

  const absl::Status made = sessions.Make(arguments.sessions, model, stopper.stopped());
  if (!made.ok()) return ReportWrong(made, context);
  if (stopper.stopped()) return kFine;
  v1::GetRequest first;
  first.set_session_id(sessions.IdOf(0));
  const absl::StatusOr<v1::GetResponse> session = context.connection->Get(first);
  if (!session.ok()) return ReportFailure(session.status(), context);

  stopper.Use(load.stop);
  const absl::StatusOr<load::Found> warm = load.run(std::min(kWarmUp, arguments.duration));
  if (!warm.ok()) return ReportWrong(warm.status(), context);
  if (stopper.stopped()) return kFine;
  const absl::StatusOr<load::Found> found = load.run(arguments.duration);
  if (!found.ok()) return ReportWrong(found.status(), context);
  if (found->commands == 0) return kFine;  // it was stopped at once
  const bool json = context.global.format == Format::kJson;
  context.output.Print((json ? BenchToJson : BenchToText)(arguments, session->session(), *found));
  context.output.Flush();
  return kFine;
}

}  // namespace

int RunCommand(const BenchArguments& arguments, Context& context) {
  v1::GetCoroutineRequest which;
  which.set_name(arguments.create.coroutine);
  which.set_version(arguments.create.version);
  const absl::StatusOr<v1::GetCoroutineResponse> definition = context.connection->GetCoroutine(which);
  if (!definition.ok()) return ReportFailure(definition.status(), context);
  const absl::StatusOr<v1::CreateRequest> model = ModelOf(arguments);
  if (!model.ok()) return ReportFailure(model.status(), context);

  // Debian's Abseil looks for deadlocks at each of gRPC's locks, which the load would pay for; the server does not
  // either.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  Stopper stopper;
  const Interrupts interrupts([&stopper](int /*signal*/) { stopper.Stop(); });
  const std::shared_ptr<grpc::Channel>& channel = context.channel;
  BenchSessions sessions(channel, context);
  int status = Measure(arguments, *model, channel, sessions, stopper, context);
  const int deleted = sessions.Delete();
  if (status == kFine) status = deleted;
  return interrupts.signal() != 0 ? kSignal + interrupts.signal() : status;
}

}  // namespace corod::cli
