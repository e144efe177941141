// Callers whose token is taken away, or expires, while their streams are open.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/auth/authenticator.h"
#include "server/auth/identities.h"
#include "tests/unit/auth/keys.h"
#include "tests/unit/base/temporary_files.h"
#include "tests/unit/rpc/drive_test_base.h"

namespace corod::rpc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The files that say who may call; ada and bob may at the beginning.
class Callers {
 protected:
  Callers() {
    Put({ada_.line, bob_.line});
    folder_.Put("keys", KeySetOf({key_.Jwk(R"(,"kid":"d")")}));
    AuthenticatorOptions options{.rules = {"https://issuer.example.org", "corod"}};
    options.identities_file = folder_.Path("people");
    options.jwks_file = folder_.Path("keys");
    authenticator_ = *Authenticator::Open(options, token_clock_);
  }

  void Put(const std::vector<std::string>& lines) const {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    folder_.Put("people", text);
  }
  // The same, and reads it.
  void Change(const std::vector<std::string>& lines) {
    Put(lines);
    ASSERT_EQ(authenticator_->Reload().size(), 1u);
  }
  // ada's, for so many seconds.
  std::string SignedToken(int seconds) const {
    return Signed({{"alg", R"("EdDSA")"}, {"kid", R"("d")"}},
                  Changed(GoodClaims(), {{"exp", std::to_string(absl::ToUnixSeconds(kNow) + seconds)}}), key_);
  }

  TemporaryFolder folder_;
  TokenClock token_clock_;
  TestKey key_ = TestKey::Ed25519();
  NewTokenResult ada_ = *NewToken({"ada", "team-a", Role::kDrive}), bob_ = *NewToken({"bob", "team-a", Role::kDrive});
  std::unique_ptr<Authenticator> authenticator_;
};

class CallersTest : protected Callers, public DriveTestBase {
 protected:
  // Nobody reads too slowly: a test's time goes by faster than gRPC says that something was written.
  explicit CallersTest(absl::Duration slow_reader = absl::InfiniteDuration())
      : DriveTestBase(Journaling::kDurable, Scopes::kNone, {}, authenticator_.get(), slow_reader) {}

  // ada's sessions: `s` echoes and is durable, `b` waits when it is sent "block".
  void SetUp() override {
    v1::CreateRequest durable = NewSession("dicing", "s");
    durable.set_durability(v1::DURABILITY_DURABLE);
    for (const v1::CreateRequest& request : {durable, NewSession("blocking", "b")}) {
      grpc::ClientContext context;
      v1::CreateResponse response;
      const grpc::Status status = stub_->Create(As(context, ada_.token), request, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
    }
  }

  static grpc::ClientContext* As(grpc::ClientContext& context, const std::string& token) {
    context.AddMetadata("authorization", "Bearer " + token);
    return &context;
  }
  // Looks at the streams, a second after the last time.
  void Look() { LookAfter(absl::Seconds(1)); }
  void LookAfter(absl::Duration time) { streams_.Look(now_ += time); }
  std::int64_t open_streams() { return sessions_->accounts().Of("team-a").streams(); }
  void AwaitStreams(std::int64_t count) {
    while (open_streams() != count) std::this_thread::yield();
  }
  // Also where a stream is counted that is only about to be one of those that are looked at.
  void LookUntil(std::int64_t count) {
    while (open_streams() != count) {
      Look();
      std::this_thread::yield();
    }
  }

  // A Drive call that somebody else than a Stream makes.
  struct Driving {
    Driving(v1::CoroutineService::Stub& stub, const std::string& token) : call(stub.Drive(As(context, token))) {}
    void Write(const v1::Command& command) {
      v1::DriveRequest request;
      *request.add_commands() = command;
      ASSERT_TRUE(call->Write(request));
    }
    std::vector<std::string> Read() {
      v1::DriveResponse response;
      std::vector<std::string> replies;
      if (!call->Read(&response)) return replies;
      for (const v1::Reply& reply : response.replies()) replies.push_back(BriefOf(reply));
      return replies;
    }

    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::DriveRequest, v1::DriveResponse>> call;
  };
  static void ExpectEnded(const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::UNAVAILABLE) << status.error_message();
    EXPECT_EQ(InfoOf(status).reason(), "CREDENTIALS_ENDED");
    EXPECT_EQ(InfoOf(status).metadata().at("executed"), "no");
  }

 private:
  absl::Time now_ = kNow;
};

TEST_F(CallersTest, ADriveIsAnsweredWhatItSentAndEnds) {
  Driving drive(*stub_, ada_.token);
  drive.Write(BlockOf("b"));
  drive.Write(SendTo("s", 1));
  EXPECT_THAT(drive.Read(), ElementsAre("2"));
  Change({bob_.line});
  Look();
  Look();
  drive.Write(SendTo("s", 1));  // whatever is read now is too late
  EXPECT_EQ(open_streams(), 1) << "a command is under way";
  probe_.gate.Open();
  EXPECT_THAT(drive.Read(), ElementsAre("2")) << "that of b";
  EXPECT_THAT(drive.Read(), ElementsAre());
  const grpc::Status status = drive.call->Finish();
  ExpectEnded(status);
  EXPECT_THAT(status.error_message(), HasSubstr("corod token"));
  AwaitStreams(0);

  Driving again(*stub_, ada_.token);
  EXPECT_THAT(again.Read(), ElementsAre());
  EXPECT_EQ(InfoOf(again.call->Finish()).reason(), "CREDENTIALS_INVALID");
  Driving others(*stub_, bob_.token);
  others.Write(SendTo("s", 1));
  EXPECT_THAT(others.Read(), ElementsAre("3")) << "the step after the last that was answered";
  others.context.TryCancel();
}

// What comes while the stream is about to end is either answered, or has not run.
TEST_F(CallersTest, NoCommandRunsWithoutAnAnswer) {
  std::uint64_t steps = 1;
  for (int round = 0; round < 20; ++round) {
    Change({ada_.line, bob_.line + "  # " + std::to_string(round)});
    Driving drive(*stub_, ada_.token);
    std::uint64_t answered = 0;
    std::thread reads([&] {
      while (true) {
        const std::vector<std::string> replies = drive.Read();
        if (replies.empty()) return;
        for (const std::string& reply : replies) EXPECT_EQ(reply, std::to_string(steps + ++answered));
      }
    });
    std::thread writes([&] {
      v1::DriveRequest request;
      for (int i = 0; i < 3; ++i) *request.add_commands() = SendTo("s", 1);
      while (drive.call->Write(request)) {
      }
    });
    AwaitStreams(1);
    Change({bob_.line});
    LookUntil(0);
    reads.join();
    writes.join();
    ExpectEnded(drive.call->Finish());
    steps += answered;
    Change({ada_.line, bob_.line});
    grpc::ClientContext context;
    v1::GetRequest request;
    request.set_session_id("s");
    v1::GetResponse response;
    ASSERT_TRUE(stub_->Get(As(context, bob_.token), request, &response).ok());
    ASSERT_EQ(response.session().steps(), steps) << "in round " << round;
  }
}

class SlowCallersTest : public CallersTest {
 protected:
  static constexpr absl::Duration kTimeout = absl::Seconds(30);
  SlowCallersTest() : CallersTest(kTimeout) {}

  std::uint64_t RefusalsFor(Reason reason) const {
    return sessions_->metrics().refusals.value(metrics::RefusalCounters::KindOf(Failed(reason, "")));
  }
};

// It gets no more answers, so it must not hear that what was not answered was not executed. What it hears is counted.
TEST_F(SlowCallersTest, ADriveThatIsNotReadEitherIsToldThat) {
  const metrics::Counter& commands = sessions_->accounts().Of("team-a").metrics().commands;
  const std::uint64_t before = commands.value();
  Driving drive(*stub_, ada_.token);
  v1::DriveRequest request;
  *request.add_commands() = CreateOf(NewSession("echo", "e"));
  for (int i = 0; i < 24; ++i) {  // 12 MiB of answers
    v1::Command* command = request.add_commands();
    command->set_session_id("e");
    command->mutable_send()->set_text(std::string(std::size_t{1} << 19, 'x'));
  }
  ASSERT_TRUE(drive.call->Write(request));
  while (commands.value() < before + 25) std::this_thread::yield();
  Look();
  Change({bob_.line});
  Look();
  LookAfter(kTimeout);
  while (!drive.Read().empty()) {
  }
  const grpc::Status status = drive.call->Finish();
  EXPECT_EQ(InfoOf(status).reason(), "READER_TOO_SLOW");
  EXPECT_EQ(InfoOf(status).metadata().count("executed"), 0u);
  EXPECT_EQ(RefusalsFor(Reason::READER_TOO_SLOW), 1u);
  EXPECT_EQ(RefusalsFor(Reason::CREDENTIALS_ENDED), 0u);
}

TEST_F(CallersTest, AWatchIsToldWhereToGoOn) {
  grpc::ClientContext context;
  v1::WatchRequest request;
  request.set_session_id("s");
  request.set_from_step(1);
  const auto watch = stub_->Watch(As(context, ada_.token), request);
  v1::WatchResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.event().step(), 1u);
  Change({bob_.line});
  Look();
  EXPECT_FALSE(watch->Read(&response));
  const grpc::Status status = watch->Finish();
  ExpectEnded(status);
  EXPECT_EQ(InfoOf(status).metadata().at("resume_step"), "2");
  AwaitStreams(0);
}

TEST_F(CallersTest, AnExportEnds) {
  {
    grpc::ClientContext context;
    v1::CreateRequest request = NewSession("counter", "large");
    request.set_durability(v1::DURABILITY_DURABLE);
    v1::CreateResponse response;
    ASSERT_TRUE(stub_->Create(As(context, ada_.token), request, &response).ok());
  }
  for (int i = 0; i < 32; ++i) {
    grpc::ClientContext context;
    v1::SendRequest request;
    request.set_session_id("large");
    request.mutable_value()->set_text(std::string(std::size_t{1} << 19, 'x'));
    v1::SendResponse response;
    ASSERT_TRUE(stub_->Send(As(context, ada_.token), request, &response).ok());
  }
  grpc::ClientContext context;
  v1::ExportRequest request;
  request.set_session_id("large");
  const auto stream = stub_->Export(As(context, ada_.token), request);
  v1::ExportResponse response;
  ASSERT_TRUE(stream->Read(&response));
  Change({bob_.line});
  Look();
  std::size_t bytes = 0;
  while (stream->Read(&response)) bytes += response.chunk().size();
  EXPECT_LT(bytes, std::size_t{16} << 20) << "more than gRPC takes before it is read";
  ExpectEnded(stream->Finish());
  AwaitStreams(0);
}

TEST_F(CallersTest, AnImportEnds) {
  grpc::ClientContext context;
  v1::ImportResponse response;
  const auto import = stub_->Import(As(context, ada_.token), &response);
  v1::ImportRequest request;
  request.set_chunk("COROD");
  ASSERT_TRUE(import->Write(request));
  AwaitStreams(1);
  Change({bob_.line});
  LookUntil(0);
  ExpectEnded(import->Finish());
}

TEST_F(CallersTest, WhatTheRoleStillAllowsGoesOn) {
  Driving drive(*stub_, ada_.token);
  drive.Write(SendTo("b", 1));
  EXPECT_THAT(drive.Read(), ElementsAre("2"));
  grpc::ClientContext context;
  v1::WatchRequest request;
  request.set_session_id("s");
  request.set_from_step(1);
  const auto watch = stub_->Watch(As(context, ada_.token), request);
  v1::WatchResponse response;
  ASSERT_TRUE(watch->Read(&response));
  std::string lowered = ada_.line;
  lowered.replace(lowered.find(" drive "), 7, " observe ");
  Change({lowered, bob_.line});
  Look();
  EXPECT_THAT(drive.Read(), ElementsAre());
  const grpc::Status status = drive.call->Finish();
  ExpectEnded(status);
  EXPECT_THAT(status.error_message(), HasSubstr("has the role observe"));
  AwaitStreams(1);
  Look();

  std::string moved = ada_.line;
  moved.replace(moved.find(" team-a "), 8, " team-b ");
  Change({moved, bob_.line});
  Look();
  EXPECT_FALSE(watch->Read(&response));
  const grpc::Status of_watch = watch->Finish();
  ExpectEnded(of_watch);
  EXPECT_THAT(of_watch.error_message(), HasSubstr("another namespace"));
}

TEST_F(CallersTest, OthersChangesDoNotMatter) {
  Driving drive(*stub_, ada_.token);
  drive.Write(SendTo("s", 1));
  EXPECT_THAT(drive.Read(), ElementsAre("2"));
  Change({ada_.line});
  folder_.Put("people", "ada team-a root");
  ASSERT_EQ(authenticator_->Reload().size(), 1u) << "it is bad, and changes nothing";
  for (int i = 0; i < 100; ++i) Look();
  drive.Write(SendTo("s", 1));
  EXPECT_THAT(drive.Read(), ElementsAre("3"));
  drive.call->WritesDone();
  EXPECT_TRUE(drive.call->Finish().ok());
}

TEST_F(CallersTest, ATokenExpires) {
  Driving drive(*stub_, SignedToken(3600));
  drive.Write(SendTo("s", 1));
  EXPECT_THAT(drive.Read(), ElementsAre("2"));
  for (int i = 0; i < 60; ++i) Look();
  token_clock_.Advance(3700);
  for (int i = 0; i < 30; ++i) Look();
  EXPECT_THAT(drive.Read(), ElementsAre());
  const grpc::Status status = drive.call->Finish();
  ExpectEnded(status);
  EXPECT_THAT(status.error_message(), HasSubstr("expired"));
}

}  // namespace
}  // namespace corod::rpc
