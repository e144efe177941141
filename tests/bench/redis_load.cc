#include "tests/bench/redis_load.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/bench/failure.h"
#include "tests/bench/server_process.h"

namespace corod::bench {
namespace {

constexpr int kPatienceMs = 60'000;

// As one would write it: the state of a key in 16 bytes, read and written once.
constexpr char kAverager[] = R"(local state = redis.call('GET', KEYS[1])
local total, count = 0, 0
if state then total, count = struct.unpack('<dd', state) end
total = total + ARGV[1]
count = count + 1
redis.call('SET', KEYS[1], struct.pack('<dd', total, count))
return tostring(total / count))";

// RESP.
std::string Command(std::initializer_list<std::string_view> words) {
  std::string text = absl::StrCat("*", words.size(), "\r\n");
  for (const std::string_view word : words) {
    absl::StrAppend(&text, "$", word.size(), "\r\n", std::string(word), "\r\n");
  }
  return text;
}

// The bytes of the whole answer that `bytes` begins with; 0: there is more to come.
std::size_t AnswerAt(std::string_view bytes) {
  const std::size_t end = bytes.find('\n');
  if (end == std::string_view::npos) return 0;
  if (bytes[0] != '$') throw Failure("Redis answered " + std::string(bytes.substr(0, end)));
  std::size_t size = 0;
  const auto [rest, error] = std::from_chars(bytes.data() + 1, bytes.data() + end, size);
  if (error != std::errc()) throw Failure("Redis answered " + std::string(bytes.substr(0, end)));
  const std::size_t whole = end + 1 + size + 2;
  return whole <= bytes.size() ? whole : 0;
}

}  // namespace

RedisLoad::RedisLoad(const std::string& socket, const std::vector<std::string>& ids, const Options& options)
    : options_(options), connections_(options.connections) {
  for (Connection& connection : connections_) {
    connection.descriptor = ConnectTo(socket);
    if (connection.descriptor < 0) FailWithErrno(socket);
  }
  const std::string script = Call(Command({"SCRIPT", "LOAD", kAverager}));
  for (std::size_t i = 0; i + options_.batch <= ids.size(); i += options_.batch) {
    std::string& pipeline = pipelines_.emplace_back();
    for (std::size_t j = 0; j < options_.batch; ++j) {
      pipeline += Command({"EVALSHA", script, "1", ids[i + j], "7"});
    }
  }
}

RedisLoad::~RedisLoad() {
  for (const Connection& connection : connections_) {
    if (connection.descriptor >= 0) close(connection.descriptor);
  }
}

std::string RedisLoad::Call(const std::string& command) {
  Connection& connection = connections_.front();
  Send(connection, command);
  while (true) {
    char bytes[1'024];
    const ssize_t got = recv(connection.descriptor, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw Failure("Redis closed a connection");
    connection.unread.append(bytes, static_cast<std::size_t>(got));
    if (const std::size_t whole = AnswerAt(connection.unread); whole > 0) {
      const std::size_t begin = connection.unread.find('\n') + 1;
      const std::string answer = connection.unread.substr(begin, whole - begin - 2);
      connection.unread.clear();
      return answer;
    }
  }
}

void RedisLoad::Send(Connection& connection, std::string_view rest) {
  while (!rest.empty()) {
    const ssize_t sent = send(connection.descriptor, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) FailWithErrno("sending to Redis");
    if (sent > 0) rest.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::size_t RedisLoad::Receive(Connection& connection) {
  char bytes[64 << 10];
  const ssize_t got = recv(connection.descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return 0;
  if (got <= 0) throw Failure("Redis closed a connection");
  connection.unread.append(bytes, static_cast<std::size_t>(got));
  std::size_t count = 0, at = 0;
  while (true) {
    const std::string_view rest = std::string_view(connection.unread).substr(at);
    const std::size_t whole = rest.empty() ? 0 : AnswerAt(rest);
    if (whole == 0) break;
    at += whole;
    ++count;
  }
  connection.unread.erase(0, at);
  connection.unanswered -= count;
  return count;
}

double RedisLoad::Run(absl::Duration duration) {
  const absl::Time begin = absl::Now();
  std::uint64_t answered = 0, counted = 0;
  std::vector<pollfd> polled(connections_.size());
  absl::Time end = begin;
  while (true) {
    const bool stopping = end - begin >= duration;
    bool idle = true;
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      Connection& connection = connections_[i];
      // Redis keeps what it cannot send yet, so that it always reads on.
      while (!stopping && connection.unanswered + options_.batch <= options_.outstanding * options_.batch) {
        Send(connection, pipelines_[next_++ % pipelines_.size()]);
        connection.unanswered += options_.batch;
      }
      idle = idle && connection.unanswered == 0;
      polled[i] = {.fd = connection.descriptor, .events = POLLIN, .revents = 0};
    }
    if (idle) break;
    const int ready = poll(polled.data(), polled.size(), kPatienceMs);
    if (ready < 0 && errno != EINTR) FailWithErrno("poll");
    if (ready == 0) throw Failure("Redis does not answer");
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      if (polled[i].revents != 0) answered += Receive(connections_[i]);
    }
    if (stopping) continue;
    end = absl::Now();
    counted = answered;
  }
  return static_cast<double>(counted) / absl::ToDoubleSeconds(end - begin);
}

}  // namespace corod::bench
