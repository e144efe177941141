#include "tests/bench/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/time/clock.h"
#include "server/base/mutex.h"
#include "tests/bench/failure.h"

namespace corod::bench {
namespace {

constexpr std::string_view kReady = " is ready on ";
constexpr absl::Duration kStartLimit = absl::Seconds(30);

// What a signal has to end.
struct Remains {
  Mutex mutex;
  std::set<pid_t> servers ABSL_GUARDED_BY(mutex);
  std::set<std::string> directories ABSL_GUARDED_BY(mutex);
};

Remains& remains() {
  static auto* const all = new Remains;
  return *all;
}

// One line from `descriptor`, without its end; what there is if it ends before.
std::string ReadLine(int descriptor) {
  std::string line;
  char next = 0;
  while (true) {
    const ssize_t got = read(descriptor, &next, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || next == '\n') return line;
    line += next;
  }
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// "Name:   123 kB" in /proc/PID/status.
std::uint64_t BytesIn(const std::string& status, const std::string& name) {
  const std::size_t at = status.find("\n" + name + ":");
  if (at == std::string::npos) throw Failure("the process's status has no " + name);
  return std::strtoull(status.c_str() + at + name.size() + 2, nullptr, 10) * 1024;
}

// Starts a process that ends with this one.
pid_t Spawn(const std::vector<std::string>& command, int output, int errors) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  pid_t pid = -1;
  {
    // Not between a signal's look at the servers and the end of this process.
    const MutexLock lock(remains().mutex);
    pid = fork();
    if (pid > 0) remains().servers.insert(pid);
  }
  if (pid < 0) FailWithErrno("fork");
  if (pid > 0) return pid;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  dup2(output, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  execv(arguments[0], arguments.data());
  dprintf(STDERR_FILENO, "%s: %s\n", arguments[0], std::strerror(errno));
  _exit(127);
}

// Waits for its end; its status.
int Reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  const MutexLock lock(remains().mutex);
  remains().servers.erase(pid);
  return status;
}

}  // namespace

void FailWithErrno(const std::string& what) { throw Failure(what + ": " + std::strerror(errno)); }

TemporaryDirectory::TemporaryDirectory(const std::string& parent) : path_(parent + "/corod-bench-XXXXXX") {
  if (!mkdtemp(path_.data())) FailWithErrno(path_);
  const MutexLock lock(remains().mutex);
  remains().directories.insert(path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  const MutexLock lock(remains().mutex);
  remains().directories.erase(path_);
}

std::string TemporaryDirectory::NewPath(const std::string& name) {
  return path_ + "/" + std::to_string(++last_) + "-" + name;
}

int ConnectTo(const std::string& socket_path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) throw Failure(socket_path + " is too long for a socket");
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) FailWithErrno("socket");
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return descriptor;
  close(descriptor);
  return -1;
}

std::string OutputOf(const std::vector<std::string>& command) {
  int output[2] = {-1, -1};
  if (pipe2(output, O_CLOEXEC) != 0) FailWithErrno("pipe2");
  const pid_t pid = Spawn(command, output[1], STDERR_FILENO);
  close(output[1]);
  std::string all;
  char bytes[4'096];
  while (true) {
    const ssize_t got = read(output[0], bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    all.append(bytes, static_cast<std::size_t>(got));
  }
  close(output[0]);
  const int status = Reap(pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw Failure(command[0] + " failed: " + all);
  return all;
}

ServerProcess::ServerProcess(const std::vector<std::string>& command, std::string log, const std::string& socket)
    : log_(std::move(log)) {
  const int errors = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int output[2] = {-1, -1};
  if (errors < 0 || pipe2(output, O_CLOEXEC) != 0) FailWithErrno(log_);
  started_ = absl::Now();
  pid_ = Spawn(command, socket.empty() ? output[1] : errors, errors);
  close(output[1]);
  close(errors);
  std::string printed;
  address_ = socket.empty() ? AwaitLine(output[0], printed) : AwaitSocket(socket);
  close(output[0]);
  if (!address_.empty()) return;
  Kill();
  throw Failure(command[0] + " does not serve: " + printed + " " + this->log());
}

std::string ServerProcess::AwaitLine(int output, std::string& printed) {
  printed = ReadLine(output);
  const std::size_t ready = printed.find(kReady);
  return ready == std::string::npos ? "" : printed.substr(ready + kReady.size());
}

std::string ServerProcess::AwaitSocket(const std::string& socket) {
  const absl::Time give_up = absl::Now() + kStartLimit;
  while (absl::Now() < give_up) {
    siginfo_t ended = {};
    if (waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0) break;
    if (const int descriptor = ConnectTo(socket); descriptor >= 0) {
      close(descriptor);
      return socket;
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
  return "";
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) Kill();
}

Memory ServerProcess::memory() const {
  const std::string status = ReadFile("/proc/" + std::to_string(pid_) + "/status");
  return {BytesIn(status, "VmRSS"), BytesIn(status, "RssAnon")};
}

std::string ServerProcess::log() const { return ReadFile(log_); }

int ServerProcess::Wait() { return Reap(std::exchange(pid_, -1)); }

void ServerProcess::Signal(int signal) { kill(pid_, signal); }

void ServerProcess::Stop() {
  Signal(SIGTERM);
  const int status = Wait();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw Failure("a server did not end well: " + log());
}

void ServerProcess::Kill() {
  kill(pid_, SIGKILL);
  Wait();
}

void ServerProcess::EndAll(int status) {
  Remains& all = remains();
  all.mutex.Lock();  // for good: nothing is started any more
  for (const pid_t server : all.servers) kill(server, SIGKILL);
  for (const pid_t server : all.servers) waitpid(server, nullptr, 0);
  std::error_code ignored;
  for (const std::string& directory : all.directories) std::filesystem::remove_all(directory, ignored);
  _exit(status);
}

}  // namespace corod::bench
