#include "server/server.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "server/base/clock.h"
#include "server/base/random.h"
#include "server/base/worker_pool.h"
#include "server/coroutine/coroutine.h"
#include "server/flags.h"
#include "server/journal/memory_journal.h"
#include "server/journal/rocks_journal.h"
#include "server/listener.h"
#include "server/log/log.h"
#include "server/lua/expression_stages.h"
#include "server/lua/scripts.h"
#include "server/maintenance/admin_socket.h"
#include "server/maintenance/commands.h"
#include "server/metrics/metrics.h"
#include "server/metrics/metrics_server.h"
#include "server/plugin/plugins.h"
#include "server/rpc/access.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/catalog_service.h"
#include "server/rpc/coroutine_service.h"
#include "server/rpc/open_streams.h"
#include "server/session/crash_marks.h"
#include "server/session/definitions.h"
#include "server/session/sessions.h"
#include "server/watched_settings.h"

// What jemalloc reads when the process begins; MALLOC_CONF in the environment comes behind it, as its manual says. What
// is freed goes back to the system within half a minute, also when nobody asks for memory any more. Sooner, and what
// calls have for a moment goes back and forth (docs/performance.md).
extern "C" const char* const malloc_conf;  // NOLINT(readability-identifier-naming)
const char* const malloc_conf = "background_thread:true,dirty_decay_ms:30000,muzzy_decay_ms:0";

namespace corod {
namespace {

constexpr std::size_t kMaxWorkers = 512;
constexpr absl::Duration kSweepInterval = absl::Milliseconds(200);
constexpr absl::Duration kReplyLimit = absl::Seconds(2);

// The signals that end the server, taken by one thread that waits for them.
class ExitSignals {
 public:
  // REQUIRES: no other thread has been started, so that all inherit the mask.
  ExitSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  // The signal, or 0 if none came within `limit`.
  int Wait(absl::Duration limit) const {
    const timespec time = absl::ToTimespec(limit);
    const int signal = sigtimedwait(&signals_, nullptr, &time);
    return signal > 0 ? signal : 0;
  }

 private:
  sigset_t signals_;
};

// Says why corod does not start; gives `status`.
int Refuse(const absl::Status& why, int status) {
  std::fprintf(stderr, "corod: %s\n", std::string(why.message()).c_str());
  return status;
}

// The journal that the flags ask for, or why there is none. In memory nothing is durable.
absl::StatusOr<std::unique_ptr<Journal>> OpenJournal(const Flags& flags, const metrics::JournalMetrics& metrics,
                                                     Executor& executor, ServerHooks hooks) {
  if (flags.journal == Flags::JournalKind::kMemory) return std::make_unique<MemoryJournal>(executor);
  RocksJournal::Options options;
  options.directory = flags.data_dir;
  options.sync = flags.sync;
  options.metrics = &metrics;
  options.file_system = std::move(hooks.file_system);
  if (hooks.segment_bytes > 0) options.segment_bytes = hooks.segment_bytes;
  absl::StatusOr<std::unique_ptr<RocksJournal>> opened = RocksJournal::Open(std::move(options));
  if (!opened.ok()) return opened.status();
  return *std::move(opened);
}

// What is asked of the whole when somebody reads the metrics.
metrics::Readings ReadAll(Sessions& sessions, const lua::Scripts& scripts, const WorkerPool& workers,
                          const Journal& journal) {
  const FrameCount frames = LiveFrames();
  metrics::Readings readings;
  readings.live_sessions = static_cast<double>(sessions.live());
  readings.asleep_sessions = static_cast<double>(sessions.asleep());
  readings.finished_sessions = static_cast<double>(sessions.finished());
  readings.problem_sessions = static_cast<double>(sessions.troubled());
  readings.frames = static_cast<double>(frames.frames);
  readings.frame_bytes = static_cast<double>(frames.bytes);
  readings.lua_bytes = static_cast<double>(scripts.bytes());
  readings.queued_by_workers = static_cast<double>(workers.Queued());
  readings.queued_by_journal = static_cast<double>(journal.QueuedWrites());
  if (const std::optional<std::uint64_t> bytes = journal.BytesOnDisk()) {
    readings.journal_bytes = static_cast<double>(*bytes);
  }
  for (const Account* account : sessions.accounts().All()) {
    readings.namespace_sessions.emplace_back(&account->metrics(), static_cast<double>(sessions.SizeOf(*account)));
    readings.namespace_memory.emplace_back(&account->metrics(), static_cast<double>(account->memory()));
  }
  return readings;
}

}  // namespace

int RunServer(int argc, const char* const* argv, Catalog& catalog, ServerHooks hooks) {
  if (const std::optional<int> status = maintenance::RunCommand(argc, argv, catalog)) return *status;
  const std::variant<Flags, FlagsExit> parsed = ParseFlags(argc, argv);
  if (const auto* exit = std::get_if<FlagsExit>(&parsed)) {
    std::fputs(exit->text.c_str(), exit->status == 0 ? stdout : stderr);
    return exit->status;
  }
  const Flags& flags = std::get<Flags>(parsed);
  if (absl::Status exposed = CheckExposure(flags); !exposed.ok()) return Refuse(exposed, 2);
  const ExitSignals signals;
  SetUpLog(flags.log_levels, flags.log_format);
  Plugins plugins(catalog);
  for (const std::string& file : flags.plugins) {
    const auto added = plugins.Load(file);
    if (!added.ok()) return Refuse(added.status(), 2);
    for (const Definition* definition : *added) {
      COROD_LOG(kServer, kInfo, "a plugin brings a coroutine",
                {{"plugin", file}, {"coroutine", definition->name}, {"version", definition->version}});
    }
  }
  // gRPC's locks are Abseil's, and Debian's Abseil looks for deadlocks at each of them unless it is told not to.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // gRPC's own lines about what we report better; whoever wants them sets the variable.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);

  const SystemClock machines_clock;
  metrics::Metrics metrics(COROD_VERSION);
  WatchedSettings settings(flags, machines_clock, metrics);
  if (absl::Status opened = settings.Open(); !opened.ok()) return Refuse(opened, 2);
  const Clock& clock = hooks.clock ? *hooks.clock : machines_clock;
  SystemRandom random;
  WorkerPool workers(kMaxWorkers);
  const absl::StatusOr<std::unique_ptr<Journal>> journal =
      OpenJournal(flags, metrics.journal, workers, std::move(hooks));
  if (!journal.ok()) return Refuse(journal.status(), 1);
  std::unique_ptr<CrashMarks> crash_marks;
  if ((*journal)->IsDurable()) {
    absl::StatusOr<std::unique_ptr<CrashMarks>> opened = CrashMarks::Open(flags.data_dir + "/REPLAYING");
    if (!opened.ok()) return Refuse(opened.status(), 1);
    crash_marks = *std::move(opened);
  }
  lua::Scripts scripts(catalog, flags.max_script_memory);
  lua::AddExpressionStages(catalog, scripts);
  Definitions definitions(catalog, **journal, clock, workers,
                          [&scripts](auto... what) { return scripts.Define(what...); });
  if (absl::Status opened = definitions.Open(); !opened.ok()) return Refuse(opened, 1);
  Sessions sessions(flags.sessions, catalog, clock, workers, random, **journal, crash_marks.get(), &metrics);
  const absl::Cleanup nobody_reads = [&metrics] { metrics.ReadWith(nullptr); };
  metrics.ReadWith([&] { return ReadAll(sessions, scripts, workers, **journal); });
  sessions.WaitForCrashes();
  settings.SetAccounts(sessions.accounts());
  const rpc::Access access(settings.authenticator(), sessions.accounts());
  rpc::OpenStreams streams(flags.slow_reader_timeout);
  rpc::CoroutineService coroutines(sessions, access, streams);
  rpc::CatalogService catalog_service(catalog, definitions, access);
  rpc::AdminService admin_service(**journal, workers, access);
  std::optional<maintenance::AdminSocket> admin_socket;
  if ((*journal)->IsDurable()) admin_socket.emplace(flags.data_dir);

  const auto credentials = MakeCredentials(settings.served_tls(), access);
  if (!credentials) return Refuse(absl::InvalidArgumentError("gRPC does not take the certificate"), 2);
  std::unique_ptr<metrics::MetricsServer> metrics_server;
  if (!flags.metrics.empty()) {
    absl::StatusOr<std::unique_ptr<metrics::MetricsServer>> started =
        metrics::MetricsServer::Start(flags.metrics, metrics);
    if (!started.ok()) return Refuse(started.status(), 1);
    metrics_server = *std::move(started);
    COROD_LOG(kServer, kInfo, "serving metrics", {{"address", flags.metrics}, {"port", metrics_server->port()}});
  }
  grpc::EnableDefaultHealthCheckService(true);
  if (ServesReflection(flags, access)) {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::channelz::experimental::InitChannelzService();
  }
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(flags.listen, credentials, &port);
  if (admin_socket && !admin_socket->address().empty()) {
    builder.AddListeningPort(admin_socket->address(), grpc::InsecureServerCredentials());
  }
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  SetConnectionLimits(flags.connections, builder);
  builder.RegisterService(&coroutines);
  builder.RegisterService(&catalog_service);
  builder.RegisterService(&admin_service);
  NoReflection no_reflection;
  if (!ServesReflection(flags, access)) builder.RegisterService(&no_reflection);
  std::unique_ptr<grpc::Server> server;
  maintenance::AdminSocket::ForTheOwnerAlone([&] { server = builder.BuildAndStart(); });
  if (!server || port == 0) {
    std::fprintf(stderr, "corod: cannot listen on %s; is something else listening there?\n", flags.listen.c_str());
    return 1;
  }
  // Of the server as a whole, and of each service.
  for (const char* service : {"", "corod.v1.CoroutineService", "corod.v1.CatalogService", "corod.v1.AdminService"}) {
    server->GetHealthCheckService()->SetServingStatus(service, true);
  }
  const std::string address = flags.listen.substr(0, flags.listen.rfind(':') + 1) + std::to_string(port);
  std::printf("corod %s is ready on %s\n", COROD_VERSION, address.c_str());
  std::fflush(stdout);
  if ((*journal)->IsDurable()) {
    COROD_LOG(kServer, kInfo, "listening", {{"address", address}, {"data_dir", flags.data_dir}});
  } else {
    COROD_LOG(kServer, kInfo, "listening; every session is ephemeral (--journal memory)", {{"address", address}});
  }

  int signal = 0;
  for (absl::Time due = clock.Now(); signal == 0; due = sessions.Sweep()) {
    signal = signals.Wait(std::clamp(due - clock.Now(), absl::ZeroDuration(), kSweepInterval));
    settings.Look();
    streams.Look(machines_clock.Now());
    if (scripts.IsFull()) scripts.CollectSome();
  }

  COROD_LOG(kServer, kInfo, "refusing new work, closing sessions or putting them to sleep",
            {{"signal", strsignal(signal)}, {"sessions", sessions.live()}});
  COROD_LOG(kAudit, kInfo, "drain begun", {{"who", "signal"}, {"signal", strsignal(signal)}});
  metrics.draining.Set(1);
  (*journal)->LogMemory();
  server->GetHealthCheckService()->SetServingStatus(false);
  // Shared, since a body that never comes back may outlive this function's patience.
  const auto drained = std::make_shared<std::atomic<bool>>(false);
  sessions.Drain([drained] { drained->store(true); });
  const absl::Time give_up = clock.Now() + flags.drain_timeout;
  while (!drained->load() && clock.Now() < give_up) {
    if (signals.Wait(absl::Milliseconds(5)) != 0) break;
  }
  const auto limit = absl::ToChronoTime(clock.Now() + kReplyLimit);
  if (!drained->load()) {
    // gRPC waits for every call to be done, but that of the step never is. The others' answers go out meanwhile.
    const auto shut_down = std::make_shared<absl::Notification>();
    std::thread([&server = *server, shut_down, limit] {
      server.Shutdown(limit);
      shut_down->Notify();
    }).detach();
    shut_down->WaitForNotificationWithTimeout(kReplyLimit);
    COROD_LOG(kServer, kError, "a step is still running; ending without it");
    std::_Exit(1);
  }
  server->Shutdown(limit);
  server->Wait();
  (*journal)->Shutdown();
  workers.Shutdown();
  COROD_LOG(kServer, kInfo, "all sessions are closed or asleep");
  return 0;
}

}  // namespace corod
