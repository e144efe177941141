#ifndef COROD_TESTS_BENCH_REDIS_LOAD_H_
#define COROD_TESTS_BENCH_REDIS_LOAD_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace corod::bench {

// Keeps a Redis server busy with an averager as a Lua script, pipelined, over the socket that it listens on.
class RedisLoad {
 public:
  struct Options {
    std::size_t batch = 100;  // commands in a pipeline
    std::size_t connections = 1;
    std::size_t outstanding = 8;  // pipelines on each connection that are not answered in full
  };

  // `ids`: the keys in the order in which they take turns, a multiple of `batch`. Fails if the server does.
  RedisLoad(const std::string& socket, const std::vector<std::string>& ids, const Options& options);
  ~RedisLoad();
  RedisLoad(const RedisLoad&) = delete;
  RedisLoad& operator=(const RedisLoad&) = delete;

  // Commands answered a second while it ran for `duration`. Fails if one is answered with an error.
  double Run(absl::Duration duration);

 private:
  struct Connection {
    int descriptor = -1;
    std::size_t unanswered = 0;  // commands
    std::string unread;          // of an answer that has not come in full
  };

  std::string Call(const std::string& command);
  void Send(Connection& connection, std::string_view bytes);
  // How many answers came.
  std::size_t Receive(Connection& connection);

  const Options options_;
  std::vector<std::string> pipelines_;
  std::size_t next_ = 0;
  std::vector<Connection> connections_;
};

}  // namespace corod::bench

#endif  // COROD_TESTS_BENCH_REDIS_LOAD_H_
