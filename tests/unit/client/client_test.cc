#include "client/cpp/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cpp/service_error.h"
#include "tests/unit/client/fake_service.h"
#include "tests/unit/client/fake_world.h"

namespace corod::client {
namespace {

using ::testing::SizeIs;

class ClientTest : public ::testing::Test {
 protected:
  Client Connect() {
    return Client(*Connection::Make(OpenChannel(service_.address()), ConnectionOptions(), world_.dependencies));
  }

  FakeService service_;
  FakeWorld world_;
};

TEST_F(ClientTest, CreateAsksForWhatItsOptionsSay) {
  CreateOptions options{.coroutine = "sliding_window",
                        .arguments = Map{{"size", 3}},
                        .session_id = "mine",
                        .prime = true,
                        .idle_timeout = absl::Milliseconds(1500),
                        .if_exists = v1::IF_EXISTS_RETURN,
                        .labels = {{"floor", "3"}},
                        .version = 2,
                        .expire_time = absl::UnixEpoch() - absl::Milliseconds(250)};
  ASSERT_TRUE(Connect().Create(options).ok());
  const v1::CreateRequest request = service_.requests().create.at(0);
  EXPECT_EQ(request.coroutine(), "sliding_window");
  EXPECT_EQ(request.arguments().at("size").integer(), 3);
  EXPECT_EQ(request.session_id(), "mine");
  EXPECT_TRUE(request.prime());
  EXPECT_EQ(request.idle_timeout().seconds(), 1);
  EXPECT_EQ(request.idle_timeout().nanos(), 500'000'000);
  EXPECT_EQ(request.if_exists(), v1::IF_EXISTS_RETURN);
  EXPECT_EQ(request.labels().at("floor"), "3");
  EXPECT_EQ(request.version(), 2u);
  EXPECT_EQ(request.expire_time().seconds(), -1);
  EXPECT_EQ(request.expire_time().nanos(), 750'000'000);
}

TEST_F(ClientTest, CreateReturnsTheCoroutineAndItsFirstOutcome) {
  const absl::StatusOr<Created> created = Connect().Create({.coroutine = "averager", .prime = true});
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->coroutine.session_id(), "s1");
  EXPECT_EQ(created->outcome, Outcome::Yielded(Value()));
}

TEST_F(ClientTest, NextSendsNull) {
  const absl::StatusOr<Outcome> outcome = Connect().Attach("abc").Next();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*outcome, Outcome::Yielded(Value()));
  EXPECT_EQ(service_.requests().send.at(0).session_id(), "abc");
  EXPECT_EQ(service_.requests().send.at(0).value().kind_case(), v1::Value::KIND_NOT_SET);
}

TEST_F(ClientTest, SendReturnsWhatIsYielded) {
  const Value value = List{Value(10), Value(10.0), Value("ten")};
  const absl::StatusOr<Outcome> outcome = Connect().Attach("s1").Send(value);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*outcome, Outcome::Yielded(value));
}

TEST_F(ClientTest, ThrowCarriesTheException) {
  service_.script().on_step = [](std::uint64_t step, const v1::Value&) { return Raised(step, "KeyError", "'k'"); };
  const absl::StatusOr<Outcome> outcome = Connect().Attach("s1").Throw(Exception("ValueError", {Value("bad")}));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->kind, Outcome::Kind::kRaised);
  EXPECT_EQ(outcome->exception().type(), "KeyError");
  EXPECT_EQ(service_.requests().raise.at(0).exception().type(), "ValueError");
  EXPECT_EQ(service_.requests().raise.at(0).exception().message(), "bad");
}

TEST_F(ClientTest, CloseReturnsWhatTheCoroutineReturned) {
  service_.script().close_outcome = Returned(4, TextValue("rest"));
  const absl::StatusOr<Outcome> outcome = Connect().Attach("s1").Close();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*outcome, Outcome::Returned(Value("rest")));
}

TEST_F(ClientTest, RefusalTellsItsReason) {
  service_.script().failures = 1;
  service_.script().failure = {.code = 5, .reason = "SESSION_NOT_FOUND", .metadata = {{"session_id", "abc"}}};
  const absl::Status status = Connect().Attach("abc").Next().status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_EQ(ErrorOf(status).reason, "SESSION_NOT_FOUND");
  EXPECT_EQ(ErrorOf(status).metadata["session_id"], "abc");
}

TEST_F(ClientTest, TextThatIsNotUtf8IsNotSent) {
  EXPECT_TRUE(absl::IsInvalidArgument(Connect().Attach("s1").Send("\xff").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Connect().Create({.arguments = Map{{"a", "\xff"}}}).status()));
  EXPECT_THAT(service_.requests().send, SizeIs(0));
}

TEST_F(ClientTest, ReplyWithoutAnOutcomeIsAnError) {
  service_.script().on_step = [](std::uint64_t, const v1::Value&) { return v1::Outcome(); };
  EXPECT_TRUE(absl::IsInternal(Connect().Attach("s1").Next().status()));
}

}  // namespace
}  // namespace corod::client
