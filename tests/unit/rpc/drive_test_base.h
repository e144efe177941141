#ifndef COROD_TESTS_UNIT_RPC_DRIVE_TEST_BASE_H_
#define COROD_TESTS_UNIT_RPC_DRIVE_TEST_BASE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/rpc/rpc_test_base.h"

namespace corod::rpc {

inline v1::Command SendTo(const std::string& id, std::int64_t value) {
  v1::Command command;
  command.set_session_id(id);
  command.mutable_send()->set_integer(value);
  return command;
}
inline v1::SendRequest UnarySendTo(const std::string& id, std::int64_t value) {
  v1::SendRequest request;
  request.set_session_id(id);
  request.mutable_value()->set_integer(value);
  return request;
}
inline v1::Command NextOf(const std::string& id) {
  v1::Command command;
  command.set_session_id(id);
  command.mutable_send();
  return command;
}
inline v1::Command BlockOf(const std::string& id) {
  v1::Command command;
  command.set_session_id(id);
  command.mutable_send()->set_text("block");
  return command;
}
inline v1::Command CloseOf(const std::string& id) {
  v1::Command command;
  command.set_session_id(id);
  command.mutable_close();
  return command;
}
inline v1::Command CreateOf(v1::CreateRequest request) {
  v1::Command command;
  *command.mutable_create() = std::move(request);
  return command;
}
inline v1::Command AtStep(v1::Command command, Step step) {
  command.set_expected_step(step);
  return command;
}
inline v1::Command Resuming(v1::Command command) {
  command.set_resume(true);
  return command;
}

// "2" for a step, "REASON" for a failure.
inline std::string BriefOf(const v1::Reply& reply) {
  switch (reply.result_case()) {
    case v1::Reply::kOutcome:
      return std::to_string(reply.outcome().step());
    case v1::Reply::kCreated:
      return "created";
    case v1::Reply::kFailure:
      return reply.failure().reason();
    case v1::Reply::RESULT_NOT_SET:
      break;
  }
  return "nothing";
}

class DriveTestBase : public RpcTest {
 protected:
  using RpcTest::RpcTest;

  // One Drive call. Commands are tagged 1, 2, 3, ... as they are written.
  class Stream {
   public:
    explicit Stream(v1::CoroutineService::Stub& stub) : call_(stub.Drive(&context_)) {}

    // In one message.
    bool Write(const std::vector<v1::Command>& commands) {
      v1::DriveRequest request;
      for (const v1::Command& command : commands) {
        v1::Command* to = request.add_commands();
        *to = command;
        to->set_tag(++written_);
      }
      return call_->Write(request);
    }
    // The replies to all that was written, by tag, in the order in which they came.
    std::vector<v1::Reply> Read(std::size_t count) {
      while (replies_.size() < count) {
        v1::DriveResponse response;
        if (!call_->Read(&response)) {
          ADD_FAILURE() << "the stream ended after " << replies_.size() << " replies";
          break;
        }
        ++messages_;
        for (const v1::Reply& reply : response.replies()) replies_.push_back(reply);
      }
      return std::exchange(replies_, {});
    }
    grpc::Status HalfClose() {
      call_->WritesDone();
      v1::DriveResponse response;
      while (call_->Read(&response)) {
        for (const v1::Reply& reply : response.replies()) replies_.push_back(reply);
      }
      return call_->Finish();
    }
    void Cancel() {
      context_.TryCancel();
      EXPECT_EQ(call_->Finish().error_code(), grpc::CANCELLED);
    }
    std::vector<v1::Reply>& unread() { return replies_; }
    // How many messages Read has read.
    std::size_t messages() const { return messages_; }

   private:
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReaderWriter<v1::DriveRequest, v1::DriveResponse>> call_;
    std::uint64_t written_ = 0;
    std::vector<v1::Reply> replies_;
    std::size_t messages_ = 0;
  };

  // `echo` and `counter` are known to be quick, so that their Sends are taken at once.
  void SetUp() override {
    for (const char* name : {"echo", "counter"}) {
      Prime(name, name);
      for (int i = 0; i < 40; ++i) ASSERT_TRUE(Send(UnarySendTo(name, i)).ok());
    }
  }

  // What each command of one message got, in the order of the commands.
  std::vector<std::string> Answers(const std::vector<v1::Command>& commands) {
    Stream stream(*stub_);
    stream.Write(commands);
    std::vector<std::string> answers(commands.size());
    for (const v1::Reply& reply : stream.Read(commands.size())) answers[reply.tag() - 1] = BriefOf(reply);
    EXPECT_TRUE(stream.HalfClose().ok());
    return answers;
  }
};

}  // namespace corod::rpc

#endif  // COROD_TESTS_UNIT_RPC_DRIVE_TEST_BASE_H_
