// Unary Sends of all kinds at once: those that are taken at once, that wait, that are given up, that come in numbers.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/rpc/rpc_test_base.h"

namespace corod::rpc {
namespace {

v1::SendRequest SendOf(const std::string& id, const std::string& text) {
  v1::SendRequest request;
  request.set_session_id(id);
  request.mutable_value()->set_text(text);
  return request;
}

class SendTest : public RpcTest {
 protected:
  // A Send that goes on while the test does other things.
  class Call {
   public:
    Call(SendTest& test, const v1::SendRequest& request) {
      call_ = test.stub_->AsyncSend(&context_, request, &queue_);
      call_->Finish(&response_, &status_, this);
    }
    ~Call() {
      Wait();
      queue_.Shutdown();
      void* tag = nullptr;
      bool ok = false;
      while (queue_.Next(&tag, &ok)) {
      }
    }
    void Cancel() { context_.TryCancel(); }
    const grpc::Status& Wait() {
      void* tag = nullptr;
      bool ok = false;
      if (!std::exchange(over_, true)) queue_.Next(&tag, &ok);
      return status_;
    }
    const v1::Outcome& outcome() {
      EXPECT_TRUE(Wait().ok()) << status_.error_message();
      return response_.outcome();
    }

   private:
    grpc::CompletionQueue queue_;
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::SendResponse>> call_;
    v1::SendResponse response_;
    grpc::Status status_;
    bool over_ = false;
  };

  // From here on the Sends of its sessions are taken at once, if nothing is in their way.
  void MakeQuick(const std::string& coroutine) {
    Prime(coroutine, "quick-" + coroutine);
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(Send(SendOf("quick-" + coroutine, "quick")).ok());
  }
  // What was said before on the connection has arrived when these are answered.
  void LetTheServerNotice() {
    for (int i = 0; i < 300; ++i) Get("s");
  }
};

TEST_F(SendTest, EachIsAnsweredWithItsOwnStepHoweverManyThereAre) {
  constexpr int kSessions = 50, kCalls = 40;
  MakeQuick("counter");
  for (int i = 0; i < kSessions; ++i) Prime("counter", std::to_string(i));
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < kSessions * kCalls; ++i) {
    calls.push_back(std::make_unique<Call>(*this, SendOf(std::to_string(i % kSessions), "next")));
  }
  std::vector<std::vector<bool>> seen(kSessions, std::vector<bool>(kCalls + 2));
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const v1::Outcome& outcome = calls[i]->outcome();
    ASSERT_GE(outcome.step(), 2u);
    ASSERT_LE(outcome.step(), kCalls + 1u);
    EXPECT_EQ(outcome.yielded().integer(), static_cast<std::int64_t>(outcome.step()));
    EXPECT_FALSE(seen[i % kSessions][outcome.step()]) << "a step is one call's";
    seen[i % kSessions][outcome.step()] = true;
  }
}

TEST_F(SendTest, ManyThatWaitForABodyAreAllAnsweredInTheEndAndHoldUpNobodyElse) {
  constexpr int kWaiting = 300;
  MakeQuick("echo");
  Prime("blocking", "s");
  Prime("echo", "other");
  Call blocks(*this, SendOf("s", "block"));
  probe_.gate.WaitForArrivals(1);
  std::vector<std::unique_ptr<Call>> waiting;
  for (int i = 0; i < kWaiting; ++i) waiting.push_back(std::make_unique<Call>(*this, SendOf("s", "waited")));
  for (int i = 0; i < 500; ++i) {
    v1::Outcome outcome;
    ASSERT_TRUE(Send(SendOf("other", std::to_string(i)), &outcome).ok());
    EXPECT_EQ(outcome.yielded().text(), std::to_string(i));
  }
  probe_.gate.Open();
  EXPECT_EQ(blocks.outcome().step(), 2u);
  for (const auto& call : waiting) EXPECT_EQ(call->outcome().yielded().text(), "waited");
  EXPECT_EQ(Get("s").steps(), kWaiting + 2u);
}

TEST_F(SendTest, DeadlineThatIsFarAwayChangesNothing) {
  MakeQuick("echo");
  Prime("echo", "s");
  Prime("blocking", "slow");
  for (const char* id : {"s", "slow"}) {
    for (const char* request_id : {"", "r"}) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::hours(1));
      v1::SendRequest request = SendOf(id, "in time");
      request.set_request_id(request_id);
      v1::SendResponse response;
      const grpc::Status status = stub_->Send(&context, request, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      EXPECT_EQ(response.outcome().yielded().text(), "in time");
    }
  }
}

TEST_F(SendTest, CancelledBeforeItsTurnIsNotExecuted) {
  Prime("blocking", "s");
  Call blocks(*this, SendOf("s", "block"));
  probe_.gate.WaitForArrivals(1);
  {
    std::vector<std::unique_ptr<Call>> cancelled;
    for (int i = 0; i < 20; ++i) cancelled.push_back(std::make_unique<Call>(*this, SendOf("s", "cancelled")));
    LetTheServerNotice();
    for (const auto& call : cancelled) call->Cancel();
    for (const auto& call : cancelled) EXPECT_EQ(call->Wait().error_code(), grpc::CANCELLED);
  }
  LetTheServerNotice();
  Call kept(*this, SendOf("s", "kept"));
  probe_.gate.Open();
  EXPECT_EQ(blocks.outcome().step(), 2u);
  EXPECT_EQ(kept.outcome().step(), 3u);
}

TEST_F(SendTest, CancelledInItsStepCompletes) {
  Prime("blocking", "s");
  v1::SendRequest request = SendOf("s", "block");
  request.set_request_id("r");
  {
    Call blocks(*this, request);
    probe_.gate.WaitForArrivals(1);
    blocks.Cancel();
  }
  LetTheServerNotice();
  probe_.gate.Open();
  v1::Outcome outcome;
  ASSERT_TRUE(Send(request, &outcome).ok());
  EXPECT_EQ(outcome.yielded().text(), "block");
  EXPECT_EQ(Get("s").steps(), 2u) << "it was executed once";
}

// Cancelled, answered and over at about the same time, in every order.
TEST_F(SendTest, CancelledAtAnyMomentItIsExecutedOnceOrNot) {
  MakeQuick("counter");
  Prime("counter", "s");
  std::atomic<int> answered = 0;
  std::vector<std::thread> clients;
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        Call call(*this, SendOf("s", "next"));
        if (i % 2 == 0) call.Cancel();
        if (call.Wait().ok()) ++answered;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  v1::Outcome outcome;
  ASSERT_TRUE(Send(SendOf("s", "next"), &outcome).ok());
  EXPECT_EQ(outcome.yielded().integer(), static_cast<std::int64_t>(outcome.step()));
  EXPECT_GE(answered, 400);
  EXPECT_GE(outcome.step(), answered + 2u);
  EXPECT_LE(outcome.step(), 802u);
}

TEST_F(SendTest, RefusalHasItsDetails) {
  Prime("echo", "s");
  v1::SendRequest request = SendOf("s", "x");
  request.set_expected_step(7);
  const grpc::Status status = Send(request);
  EXPECT_EQ(status.error_code(), grpc::ABORTED);
  EXPECT_EQ(status.error_message(), "this would be step 2, not 7");
  const google::rpc::ErrorInfo info = InfoOf(status);
  EXPECT_EQ(info.reason(), "STEP_MISMATCH");
  EXPECT_EQ(info.metadata().at("actual_step"), "2");
  EXPECT_EQ(info.metadata().at("executed"), "no");
  request.set_request_id(std::string(129, 'r'));
  EXPECT_EQ(InfoOf(Send(request)).reason(), "INVALID_ARGUMENTS");
}

TEST_F(SendTest, LargeValueComesBackAsItWas) {
  Prime("echo", "s");
  std::string text(900'000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
  for (int i = 0; i < 3; ++i) {
    v1::Outcome outcome;
    ASSERT_TRUE(Send(SendOf("s", text), &outcome).ok());
    EXPECT_EQ(outcome.yielded().text(), text);
    ASSERT_TRUE(Send(SendOf("s", "small"), &outcome).ok());
    EXPECT_EQ(outcome.yielded().text(), "small");
  }
}

TEST_F(SendTest, CallWithoutARequestIsRefused) {
  grpc::GenericStub stub(grpc::CreateChannel(address_, grpc::InsecureChannelCredentials()));
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  const auto call = stub.PrepareCall(&context, "/corod.v1.CoroutineService/Send", &queue);
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
  };
  call->StartCall(nullptr);
  wait();
  call->WritesDone(nullptr);
  wait();
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  EXPECT_EQ(InfoOf(status).reason(), "INVALID_ARGUMENTS");
}

TEST_F(SendTest, ShuttingDownAnswersWhatIsUnderWay) {
  Prime("blocking", "s");
  auto blocks = std::make_unique<Call>(*this, SendOf("s", "block"));
  auto waits = std::make_unique<Call>(*this, SendOf("s", "waits"));
  probe_.gate.WaitForArrivals(1);
  LetTheServerNotice();
  std::thread ends([this] { server_->Shutdown(); });
  probe_.gate.Open();
  EXPECT_EQ(blocks->outcome().yielded().text(), "block");
  EXPECT_EQ(waits->outcome().yielded().text(), "waits");
  ends.join();
  EXPECT_EQ(Send(SendOf("s", "late")).error_code(), grpc::UNAVAILABLE);
}

TEST_F(SendTest, ShuttingDownCancelsWhatCannotEnd) {
  Prime("blocking", "s");
  Call blocks(*this, SendOf("s", "block"));
  probe_.gate.WaitForArrivals(1);
  // All who were made to wait are told before the body ends, which the server waits for.
  std::vector<std::unique_ptr<Call>> waiting;
  for (int i = 0; i < 20; ++i) waiting.push_back(std::make_unique<Call>(*this, SendOf("s", "waits")));
  LetTheServerNotice();
  std::thread ends([this] { server_->Shutdown(std::chrono::system_clock::now()); });
  for (const auto& call : waiting) EXPECT_FALSE(call->Wait().ok());
  EXPECT_FALSE(blocks.Wait().ok());
  probe_.gate.Open();
  ends.join();
}

}  // namespace
}  // namespace corod::rpc
