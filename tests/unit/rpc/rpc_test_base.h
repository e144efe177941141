#ifndef COROD_TESTS_UNIT_RPC_RPC_TEST_BASE_H_
#define COROD_TESTS_UNIT_RPC_RPC_TEST_BASE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "corod/v1/coroutine_service.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/auth/authenticator.h"
#include "server/base/clock.h"
#include "server/base/completion_scope.h"
#include "server/base/executor.h"
#include "server/base/worker_pool.h"
#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/journal/memory_journal.h"
#include "server/rpc/coroutine_service.h"
#include "server/session/sessions.h"
#include "tests/unit/session/fakes.h"
#include "tests/unit/session/test_catalog.h"

namespace corod::rpc {

// Whether the server can keep sessions; it then does, unless it is asked not to.
enum class Journaling : std::uint8_t { kNone, kDurable };

// Whether what the executor runs is in a CompletionScope, as the journal's answers are.
enum class Scopes : std::uint8_t { kNone, kAroundTasks };

// Runs tasks on another executor.
class ScopedExecutor final : public Executor {
 public:
  ScopedExecutor(Executor& executor, Scopes scopes) : executor_(executor), scopes_(scopes) {}
  void Run(std::function<void()> task) override {
    if (scopes_ == Scopes::kNone) {
      executor_.Run(std::move(task));
      return;
    }
    executor_.Run([this, task = std::move(task)] {
      count_.fetch_add(1);
      const CompletionScope scope;
      task();
    });
  }
  // How many scopes there were.
  std::size_t count() const { return count_.load(); }

 private:
  Executor& executor_;
  const Scopes scopes_;
  std::atomic<std::size_t> count_{0};
};

// A server in this process with the test bodies, and a client of it.
class RpcTest : public testing::Test {
 protected:
  // `authenticator`: null, and everybody may do everything. `slow_reader`: --slow-reader-timeout.
  explicit RpcTest(Journaling journaling = Journaling::kNone, Scopes scopes = Scopes::kNone,
                   const Sessions::Options& options = {}, Authenticator* authenticator = nullptr,
                   absl::Duration slow_reader = absl::Seconds(30))
      : executor_(workers_, scopes),
        journal_(executor_, MemoryJournal::Options{.durable = journaling == Journaling::kDurable}),
        streams_(slow_reader) {
    AddTestCoroutines(catalog_, probe_);
    sessions_ = std::make_unique<Sessions>(options, catalog_, clock_, executor_, random_, journal_);
    service_ =
        std::make_unique<CoroutineService>(*sessions_, access_.emplace(authenticator, sessions_->accounts()), streams_);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.SetMaxReceiveMessageSize(64 << 20);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
    stub_ = v1::CoroutineService::NewStub(grpc::CreateChannel(address_, grpc::InsecureChannelCredentials()));
  }
  ~RpcTest() override {
    probe_.gate.Open();
    server_->Shutdown();
    server_->Wait();
    workers_.Shutdown();
    sessions_.reset();
    EXPECT_EQ(LiveFrames().frames, 0u);
  }

  static v1::CreateRequest NewSession(const std::string& coroutine, const std::string& id) {
    v1::CreateRequest request;
    request.set_coroutine(coroutine);
    request.set_session_id(id);
    request.set_prime(true);
    return request;
  }
  void Prime(const std::string& coroutine, const std::string& id) {
    grpc::ClientContext context;
    v1::CreateResponse response;
    const grpc::Status status = stub_->Create(&context, NewSession(coroutine, id), &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  grpc::Status Create(const v1::CreateRequest& request) {
    grpc::ClientContext context;
    v1::CreateResponse response;
    return stub_->Create(&context, request, &response);
  }
  grpc::Status Send(const v1::SendRequest& request, v1::Outcome* outcome = nullptr) {
    grpc::ClientContext context;
    v1::SendResponse response;
    const grpc::Status status = stub_->Send(&context, request, &response);
    if (outcome) *outcome = response.outcome();
    return status;
  }
  v1::Session Get(const std::string& id) {
    grpc::ClientContext context;
    v1::GetRequest request;
    request.set_session_id(id);
    v1::GetResponse response;
    EXPECT_TRUE(stub_->Get(&context, request, &response).ok());
    return response.session();
  }
  static google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
    google::rpc::Status details;
    google::rpc::ErrorInfo info;
    EXPECT_TRUE(details.ParseFromString(status.error_details()) && details.details_size() > 0 &&
                details.details(0).UnpackTo(&info))
        << status.error_code() << " " << status.error_message();
    return info;
  }
  // A list in a list ..., `depth` of them.
  static v1::Value Nested(int depth) {
    v1::Value value;
    v1::Value* at = &value;
    for (int level = 0; level < depth; ++level) at = at->mutable_list()->add_items();
    return value;
  }

  SystemClock clock_;
  SequenceRandom random_;
  Probe probe_;
  Catalog catalog_;
  WorkerPool workers_{64};
  ScopedExecutor executor_;
  MemoryJournal journal_;
  std::unique_ptr<Sessions> sessions_;
  std::optional<Access> access_;
  OpenStreams streams_;
  std::unique_ptr<CoroutineService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::unique_ptr<v1::CoroutineService::Stub> stub_;
};

}  // namespace corod::rpc

#endif  // COROD_TESTS_UNIT_RPC_RPC_TEST_BASE_H_
