#include "server/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>

namespace corod::metrics {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

sockaddr_in AddressOf(const char* host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

// A connected socket, or -1.
int Connect(const char* host, int port) {
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = AddressOf(host, port);
  if (connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return connection;
  close(connection);
  return -1;
}

// The whole answer.
std::string Get(int port, const std::string& path) {
  const int connection = Connect("127.0.0.1", port);
  if (connection < 0) return "no connection";
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  EXPECT_EQ(write(connection, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string answer;
  std::array<char, 4096> part;
  for (ssize_t size = 0; (size = read(connection, part.data(), part.size())) > 0;) {
    answer.append(part.data(), static_cast<std::size_t>(size));
  }
  close(connection);
  return answer;
}

std::string ErrorOf(const std::string& address, absl::StatusCode code) {
  const Metrics metrics("1");
  const absl::StatusOr<std::unique_ptr<MetricsServer>> started = MetricsServer::Start(address, metrics);
  if (started.ok()) return "it listens";
  EXPECT_EQ(started.status().code(), code);
  return std::string(started.status().message());
}

TEST(MetricsServerTest, ServesWhatIsCounted) {
  Metrics metrics("1.2.3");
  const absl::StatusOr<std::unique_ptr<MetricsServer>> server = MetricsServer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  metrics.OfCoroutine("averager").Count(Rpc::kSend, Result::kYielded, 5);
  EXPECT_THAT(Get((*server)->port(), "/metrics"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("corod_build_info{version=\"1.2.3\"} 1\n"),
                    HasSubstr("corod_commands_total{rpc=\"Send\",coroutine=\"averager\",result=\"yielded\"} 5\n")));
  metrics.OfCoroutine("averager").Count(Rpc::kSend, Result::kYielded);
  EXPECT_THAT(Get((*server)->port(), "/metrics"), HasSubstr("result=\"yielded\"} 6\n"));
}

TEST(MetricsServerTest, ServesNothingElse) {
  const Metrics metrics("1");
  const absl::StatusOr<std::unique_ptr<MetricsServer>> server = MetricsServer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  for (const char* path : {"/", "/etc/passwd", "/../../etc/passwd", "/metrics/../server/log/log.cc"}) {
    EXPECT_THAT(Get((*server)->port(), path), AllOf(Not(StartsWith("HTTP/1.1 200")), Not(HasSubstr("root:")))) << path;
  }
}

TEST(MetricsServerTest, ListensAtItsAddressAlone) {
  const Metrics metrics("1");
  const absl::StatusOr<std::unique_ptr<MetricsServer>> server = MetricsServer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  const int there = Connect("127.0.0.1", (*server)->port());
  EXPECT_GE(there, 0);
  close(there);
  EXPECT_EQ(Connect("127.0.0.2", (*server)->port()), -1) << "all of 127.0.0.0/8 is this machine";
}

TEST(MetricsServerTest, TakesAName) {
  const Metrics metrics("1");
  const absl::StatusOr<std::unique_ptr<MetricsServer>> server = MetricsServer::Start("localhost:0", metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_GT((*server)->port(), 0);
}

TEST(MetricsServerTest, IsGoneWhenItIsDestroyed) {
  const Metrics metrics("1");
  absl::StatusOr<std::unique_ptr<MetricsServer>> server = MetricsServer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  const int port = (*server)->port();
  server->reset();
  EXPECT_EQ(Connect("127.0.0.1", port), -1);
  server = MetricsServer::Start("127.0.0.1:" + std::to_string(port), metrics);
  EXPECT_TRUE(server.ok()) << server.status();
}

TEST(MetricsServerTest, AnAddressThatIsTakenIsAnErrorThatSaysSo) {
  const int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = AddressOf("127.0.0.1", 0);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(taken, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(taken, 1), 0);
  ASSERT_EQ(getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string text = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  EXPECT_EQ(ErrorOf(text, absl::StatusCode::kUnavailable),
            "metrics cannot be served on " + text + ": Address already in use; give another HOST:PORT");
  close(taken);
}

TEST(MetricsServerTest, AnAddressOfAnotherMachineIsAnError) {
  // For documentation, so no machine has it.
  EXPECT_THAT(ErrorOf("192.0.2.1:9117", absl::StatusCode::kUnavailable), HasSubstr("Cannot assign requested address"));
}

TEST(MetricsServerTest, WhatIsNoAddressIsRefused) {
  for (const char* address : {"", "9117", ":9117", "localhost", "localhost:", "localhost:http", "127.0.0.1:65536",
                              "127.0.0.1:-1", "::1:9117", "[127.0.0.1]:9117", "127.0.0.1:0,0.0.0.0:0"}) {
    EXPECT_THAT(ErrorOf(address, absl::StatusCode::kInvalidArgument), HasSubstr("write HOST:PORT")) << address;
  }
}

}  // namespace
}  // namespace corod::metrics
