#include "server/rpc/decode.h"

#include <gmock/gmock.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "corod/v1/coroutine_service.pb.h"
#include "server/base/failure.h"
#include "server/wire/value_codec.h"

namespace corod::rpc {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Serialized by hand, from the inside outwards, so that it can be deeper than a message may be.
class NestedBytes {
 public:
  // Puts what there is so far into a field of a message around it.
  NestedBytes& Within(int field) {
    std::string header(1, static_cast<char>(field << 3 | 2));
    for (std::size_t left = reversed_.size();; left >>= 7) {
      header += static_cast<char>((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
      if (left <= 0x7f) break;
    }
    reversed_.append(header.rbegin(), header.rend());
    return *this;
  }
  std::string Bytes() const { return {reversed_.rbegin(), reversed_.rend()}; }

 private:
  std::string reversed_;
};

std::string SendOfLists(int depth) {
  NestedBytes nested;
  for (int level = 0; level < depth; ++level) {
    if (level > 0) nested.Within(v1::ListValue::kItemsFieldNumber);
    nested.Within(v1::Value::kListFieldNumber);
  }
  return nested.Within(v1::SendRequest::kValueFieldNumber).Bytes();
}

std::string SendOfMaps(int depth) {
  NestedBytes nested;
  for (int level = 0; level < depth; ++level) {
    if (level > 0) nested.Within(v1::MapValue::Entry::kValueFieldNumber).Within(v1::MapValue::kEntriesFieldNumber);
    nested.Within(v1::Value::kMapFieldNumber);
  }
  return nested.Within(v1::SendRequest::kValueFieldNumber).Bytes();
}

std::string SendOfCauses(int depth) {
  NestedBytes nested;
  for (int level = 0; level < depth; ++level) nested.Within(v1::Exception::kCauseFieldNumber);
  return nested.Within(v1::ThrowRequest::kExceptionFieldNumber).Bytes();
}

template <typename Request = v1::SendRequest>
absl::Status Parse(std::string_view bytes) {
  Request request;
  return ParseRequest(bytes, &request);
}

bool IsTooDeep(const absl::Status& status) { return IsFailure(status, Reason::VALUE_TOO_DEEP); }
bool IsInvalid(const absl::Status& status) { return IsFailure(status, Reason::INVALID_ARGUMENTS); }

TEST(ParseRequestTest, GoodRequestIsRead) {
  v1::SendRequest sent;
  sent.set_session_id("s");
  sent.mutable_value()->set_integer(7);
  v1::SendRequest read;
  ASSERT_TRUE(ParseRequest(sent.SerializeAsString(), &read).ok());
  EXPECT_EQ(read.session_id(), "s");
  EXPECT_EQ(read.value().integer(), 7);
}

TEST(ParseRequestTest, EmptyRequestIsRead) { EXPECT_TRUE(Parse("").ok()); }

TEST(ParseRequestTest, ValueAboveTheLimitIsReadToBeRefusedByItsDepth) {
  for (const int depth : {24, 25, 65, 300}) {
    for (const std::string& bytes : {SendOfLists(depth), SendOfMaps(depth)}) {
      v1::SendRequest request;
      ASSERT_TRUE(ParseRequest(bytes, &request).ok()) << depth;
      EXPECT_EQ(IsTooDeep(wire::FromProto(request.value()).status()), depth > 24) << depth;
    }
  }
}

TEST(ParseRequestTest, ThousandDeepIsTooDeep) {
  EXPECT_TRUE(IsTooDeep(Parse(SendOfLists(1'000))));
  EXPECT_TRUE(IsTooDeep(Parse(SendOfMaps(1'000))));
  EXPECT_TRUE(IsTooDeep(Parse<v1::ThrowRequest>(SendOfCauses(2'000))));
}

TEST(ParseRequestTest, HundredThousandDeepIsTooDeepAndTakesNoStack) {
  EXPECT_TRUE(IsTooDeep(Parse(SendOfLists(100'000))));
  EXPECT_TRUE(IsTooDeep(Parse(SendOfMaps(100'000))));
  EXPECT_TRUE(IsTooDeep(Parse<v1::ThrowRequest>(SendOfCauses(100'000))));
}

TEST(ParseRequestTest, DepthInAnArgumentOfCreateIsTooDeep) {
  NestedBytes nested;
  for (int level = 0; level < 2'000; ++level) {
    nested.Within(v1::ListValue::kItemsFieldNumber).Within(v1::Value::kListFieldNumber);
  }
  nested.Within(2).Within(v1::CreateRequest::kArgumentsFieldNumber);  // a map's entry keeps its value in field 2
  EXPECT_TRUE(IsTooDeep(Parse<v1::CreateRequest>(nested.Bytes())));
}

TEST(ParseRequestTest, WhatIsNoMessageIsInvalid) {
  const std::string good = SendOfLists(3);
  EXPECT_TRUE(IsInvalid(Parse(good.substr(0, good.size() - 1)))) << "cut off";
  EXPECT_TRUE(IsInvalid(Parse("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))) << "a tag that does not end";
  EXPECT_TRUE(IsInvalid(Parse("\x0b"))) << "a group";
  EXPECT_TRUE(IsInvalid(Parse(std::string("\0", 1)))) << "field 0";
}

TEST(ParseRequestTest, TextThatIsNotUtf8IsInvalid) { EXPECT_TRUE(IsInvalid(Parse("\x0a\x01\xff"))); }

TEST(ParseRequestTest, DeepRequestThatIsCutOffIsTooDeep) {
  const std::string deep = SendOfLists(5'000);
  EXPECT_FALSE(Parse(std::string_view(deep).substr(0, deep.size() / 2)).ok());
}

TEST(ParseRequestTest, UnknownFieldsAreLetPass) {
  EXPECT_TRUE(Parse("\xf8\x07\x01").ok());  // field 127, a number
}

TEST(FlattenTest, SlicesAreJoined) {
  const std::vector<grpc::Slice> slices = {grpc::Slice("ab"), grpc::Slice(""), grpc::Slice("c")};
  EXPECT_EQ(Flatten(grpc::ByteBuffer(slices.data(), slices.size())), "abc");
  EXPECT_EQ(Flatten(grpc::ByteBuffer()), "");
}

// Drive.

TEST(SplitCommandsTest, GivesTheBytesOfEach) {
  v1::DriveRequest request;
  request.add_commands()->set_tag(1);
  request.add_commands();
  request.add_commands()->set_tag(3);
  const std::string bytes = request.SerializeAsString();
  const absl::StatusOr<std::vector<std::string_view>> commands = SplitCommands(bytes);
  ASSERT_TRUE(commands.ok());
  EXPECT_THAT(*commands,
              ElementsAre(request.commands(0).SerializeAsString(), "", request.commands(2).SerializeAsString()));
}

TEST(SplitCommandsTest, CommandThatIsNoneIsLeftAsItIs) {
  const absl::StatusOr<std::vector<std::string_view>> commands = SplitCommands("\x0a\x02\xff\xff");
  ASSERT_TRUE(commands.ok());
  EXPECT_THAT(*commands, ElementsAre("\xff\xff"));
}

TEST(SplitCommandsTest, OtherFieldsAreLeftOut) {
  const absl::StatusOr<std::vector<std::string_view>> commands = SplitCommands("\x12\x01x\x18\x05");
  ASSERT_TRUE(commands.ok());
  EXPECT_THAT(*commands, IsEmpty());
}

TEST(SplitCommandsTest, WhatIsNoRequestIsInvalid) {
  EXPECT_TRUE(IsInvalid(SplitCommands("\x0a\x05xx").status()));
  EXPECT_TRUE(IsInvalid(SplitCommands("\xff").status()));
}

TEST(ParseWithoutOperationTest, KeepsTagSessionAndResume) {
  v1::Command command;
  command.set_tag(7);
  command.set_session_id("s");
  command.set_resume(true);
  const std::string bytes = command.SerializeAsString() + "\x1a\x02\xff\xff";  // a send that is none
  const v1::Command read = ParseWithoutOperation(bytes);
  EXPECT_EQ(read.tag(), 7u);
  EXPECT_EQ(read.session_id(), "s");
  EXPECT_TRUE(read.resume());
  EXPECT_EQ(read.operation_case(), v1::Command::OPERATION_NOT_SET);
}

TEST(ParseWithoutOperationTest, SaysOfACreateWhichSessionItMeant) {
  v1::Command command;
  command.set_tag(7);
  command.mutable_create()->set_session_id("s");
  command.mutable_create()->set_coroutine("echo");
  const v1::Command read = ParseWithoutOperation(command.SerializeAsString());
  EXPECT_EQ(read.operation_case(), v1::Command::kCreate);
  EXPECT_EQ(read.create().session_id(), "s");
  EXPECT_EQ(read.create().coroutine(), "");
}

TEST(ParseWithoutOperationTest, SessionIdThatIsNotUtf8BecomesAReadableOneThatNobodyHas) {
  const v1::Command read = ParseWithoutOperation("\x08\x07\x12\x02s\xff");
  EXPECT_EQ(read.tag(), 7u);
  v1::Command echoed;
  EXPECT_TRUE(echoed.ParseFromString(read.SerializeAsString()));
  EXPECT_NE(read.session_id(), "s");
  EXPECT_NE(read.session_id(), "");
}

TEST(ParseWithoutOperationTest, OfBytesThatAreNoCommandIsEmpty) {
  EXPECT_EQ(ParseWithoutOperation("\xff\xff").tag(), 0u);
}

}  // namespace
}  // namespace corod::rpc
