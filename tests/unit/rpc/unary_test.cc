// Unary calls over gRPC: that each way through the service ends in the right place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/rpc/rpc_test_base.h"

namespace corod::rpc {
namespace {

class UnaryTest : public RpcTest {
 protected:
  static v1::SendRequest SendOf(const std::string& id, const v1::Value& value = {}) {
    v1::SendRequest request;
    request.set_session_id(id);
    *request.mutable_value() = value;
    return request;
  }
};

TEST_F(UnaryTest, SessionLivesFromCreateToDelete) {
  Prime("echo", "s");
  v1::Value value;
  value.set_text("hello");
  v1::Outcome outcome;
  ASSERT_TRUE(Send(SendOf("s", value), &outcome).ok());
  EXPECT_EQ(outcome.yielded().text(), "hello");
  EXPECT_EQ(outcome.step(), 2u);
  grpc::ClientContext context;
  v1::DeleteRequest request;
  request.set_session_id("s");
  v1::DeleteResponse response;
  ASSERT_TRUE(stub_->Delete(&context, request, &response).ok());
  EXPECT_EQ(InfoOf(Send(SendOf("s"))).reason(), "SESSION_NOT_FOUND");
}

TEST_F(UnaryTest, ThrowReachesTheBody) {
  Prime("echo", "s");
  v1::ThrowRequest request;
  request.set_session_id("s");
  request.mutable_exception()->set_type("app.Failure");
  request.mutable_exception()->add_bases("KeyError");
  grpc::ClientContext context;
  v1::ThrowResponse response;
  ASSERT_TRUE(stub_->Throw(&context, request, &response).ok());
  EXPECT_EQ(response.outcome().raised().type(), "app.Failure");
  EXPECT_EQ(Get("s").state(), v1::STATE_CLOSED);
}

TEST_F(UnaryTest, ValueThatIsTooDeepIsRefusedAtAnyDepth) {
  Prime("echo", "s");
  EXPECT_TRUE(Send(SendOf("s", Nested(24))).ok());
  for (const int depth : {25, 65, 1'000, 3'000}) {
    EXPECT_EQ(InfoOf(Send(SendOf("s", Nested(depth)))).reason(), "VALUE_TOO_DEEP") << depth;
  }
  EXPECT_EQ(Get("s").steps(), 2u);
}

TEST_F(UnaryTest, ValueThatIsTooLargeIsRefused) {
  Prime("echo", "s");
  v1::Value value;
  value.set_text(std::string(5 << 20, 'x'));
  EXPECT_EQ(InfoOf(Send(SendOf("s", value))).reason(), "VALUE_TOO_LARGE");
}

TEST_F(UnaryTest, LongNameThatNobodyKnowsIsRefusedWithItsReason) {
  const grpc::Status status = Create(NewSession(std::string(100'000, 'x'), "s"));
  EXPECT_EQ(status.error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(InfoOf(status).reason(), "COROUTINE_NOT_FOUND");
}

TEST_F(UnaryTest, DeadlineOfTheCallEndsAWaitAndNotAStep) {
  Prime("blocking", "s");
  v1::Value block;
  block.set_text("block");
  v1::SendRequest request = SendOf("s", block);
  request.set_request_id("r");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  v1::SendResponse response;
  EXPECT_EQ(stub_->Send(&context, request, &response).error_code(), grpc::DEADLINE_EXCEEDED);
  probe_.gate.Open();
  v1::Outcome outcome;
  ASSERT_TRUE(Send(request, &outcome).ok());
  EXPECT_EQ(outcome.yielded().text(), "block");
  EXPECT_EQ(Get("s").steps(), 2u) << "it was executed once, or not before it was sent again";
}

TEST_F(UnaryTest, PageOfListIsAtMostAMebibyte) {
  v1::Value large;
  large.set_text(std::string(600'000, 'x'));
  for (const char* id : {"a", "b", "c"}) {
    Prime("echo", id);
    ASSERT_TRUE(Send(SendOf(id, large)).ok());
  }
  v1::ListRequest request;
  std::string ids;
  do {
    grpc::ClientContext context;
    v1::ListResponse page;
    ASSERT_TRUE(stub_->List(&context, request, &page).ok());
    ASSERT_EQ(page.sessions_size(), 1);
    ids += page.sessions(0).session_id();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(ids, "abc");
}

TEST_F(UnaryTest, WithoutAJournalThereIsNothingToForkOrExport) {
  Prime("echo", "s");
  {
    grpc::ClientContext context;
    v1::ForkRequest request;
    request.set_session_id("s");
    v1::ForkResponse response;
    EXPECT_EQ(InfoOf(stub_->Fork(&context, request, &response)).reason(), "NOT_DURABLE");
  }
  {
    grpc::ClientContext context;
    v1::ExportRequest request;
    request.set_session_id("s");
    v1::ExportResponse response;
    const auto stream = stub_->Export(&context, request);
    EXPECT_FALSE(stream->Read(&response));
    EXPECT_EQ(InfoOf(stream->Finish()).reason(), "NOT_DURABLE");
  }
}

}  // namespace
}  // namespace corod::rpc
