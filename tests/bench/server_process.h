#ifndef COROD_TESTS_BENCH_SERVER_PROCESS_H_
#define COROD_TESTS_BENCH_SERVER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace corod::bench {

// A directory for the run's data and what stands in it; removed with the object. EndAll removes it too.
class TemporaryDirectory {
 public:
  // Made in `parent`.
  explicit TemporaryDirectory(const std::string& parent);
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  // The path of something in it that nothing else is called.
  std::string NewPath(const std::string& name);

 private:
  std::string path_;
  int last_ = 0;
};

// A connection to the socket at a path; -1: nobody accepts there (yet). Closed by the caller.
int ConnectTo(const std::string& socket_path);

// What a program prints on stdout. Fails if its exit status is not 0. REQUIRES: on the main thread.
std::string OutputOf(const std::vector<std::string>& command);

// What a process holds in memory.
struct Memory {
  std::uint64_t resident = 0;
  std::uint64_t anonymous = 0;  // of that, what is not a part of a file
};

// A server of this run: a program that serves on a port of its own and ends on SIGTERM. It never outlives the
// benchmark.
class ServerProcess {
 public:
  // Starts `command` and waits until it serves: until it prints "... is ready on HOST:PORT", or, with the path of a
  // `socket`, until it accepts there. What it logs goes into the file `log`. REQUIRES: on the main thread.
  ServerProcess(const std::vector<std::string>& command, std::string log, const std::string& socket = "");
  // Kills it if it still runs.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // HOST:PORT, or the path of the socket.
  const std::string& address() const { return address_; }
  // Just before it was started.
  absl::Time started() const { return started_; }
  Memory memory() const;
  // All that it has logged.
  std::string log() const;

  // Ends it in order. Fails if its exit status is not 0.
  void Stop();
  void Signal(int signal);
  // Ends it without a word.
  void Kill();

  // Kills every server there is, removes every temporary directory, and ends this process; for a benchmark that is
  // ended by a signal.
  [[noreturn]] static void EndAll(int status);

 private:
  // Where it serves; empty: it has ended.
  std::string AwaitLine(int output, std::string& printed);
  std::string AwaitSocket(const std::string& socket);
  int Wait();

  pid_t pid_ = -1;
  const std::string log_;
  std::string address_;
  absl::Time started_;
};

}  // namespace corod::bench

#endif  // COROD_TESTS_BENCH_SERVER_PROCESS_H_
