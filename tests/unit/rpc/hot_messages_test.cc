#include "server/rpc/hot_messages.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "corod/v1/coroutine_service.pb.h"
#include "server/rpc/convert.h"
#include "server/wire/value_codec.h"

namespace corod::rpc {
namespace {

constexpr std::size_t kMaxBytes = 1'000;

std::vector<Value> PlainValues() {
  std::vector<Value> values = {Value(),
                               Value(true),
                               Value(false),
                               Value(0.5),
                               Value(-0.0),
                               Value(std::nan("")),
                               Value(""),
                               Value("a"),
                               Value("\xc3\xa4\xe2\x82\xac"),
                               Value(std::string(500, 'x')),
                               Value::Blob(""),
                               Value::Blob(std::string("\0\xff", 2)),
                               Value(std::numeric_limits<std::int64_t>::min()),
                               Value(std::numeric_limits<std::int64_t>::max())};
  for (int shift = 0; shift < 63; ++shift) {
    for (const std::int64_t around : {-1, 0, 1}) {
      values.emplace_back((std::int64_t{1} << shift) + around);
      values.emplace_back(-(std::int64_t{1} << shift) + around);
    }
  }
  return values;
}

std::vector<Value> OtherValues() {
  return {Value(List{}), Value(List{Value(1)}), Value(Message{"type", "payload"}),
          Value(Exception("ValueError", {Value("no")}))};
}

TEST(HotMessagesTest, ReadsWhatProtobufWrote) {
  for (const Value& value : PlainValues()) {
    for (int bits = 0; bits < 64; ++bits) {
      v1::Command command;
      wire::ToProto(value, command.mutable_send());
      if (bits & 1) command.set_tag(bits * 1'000'000'007ULL);
      if (bits & 2) command.set_session_id("session");
      if (bits & 4) command.set_expected_step(300);
      if (bits & 8) command.set_request_id("request");
      if (bits & 16) command.set_resume(true);
      if (bits & 32) command.set_quiet(true);
      const std::string bytes = command.SerializeAsString();
      const std::optional<PlainSend> send = ReadPlainCommand(bytes, kMaxBytes);
      ASSERT_TRUE(send.has_value()) << command.DebugString();
      EXPECT_EQ(send->value, value);
      EXPECT_EQ(send->tag, command.tag());
      EXPECT_EQ(send->session_id, command.session_id());
      EXPECT_EQ(send->expected_step, command.expected_step());
      EXPECT_EQ(send->request_id, command.request_id());
      EXPECT_EQ(send->resume, command.resume());
      EXPECT_EQ(send->quiet, command.quiet());

      v1::SendRequest request;
      if (bits & 1) wire::ToProto(value, request.mutable_value());
      if (bits & 2) request.set_session_id("session");
      if (bits & 4) request.set_expected_step(300);
      if (bits & 8) request.set_request_id("request");
      if (bits & 32) request.set_quiet(true);
      const std::string request_bytes = request.SerializeAsString();
      const std::optional<PlainSend> sent = ReadPlainSendRequest(request_bytes, kMaxBytes);
      ASSERT_TRUE(sent.has_value()) << request.DebugString();
      EXPECT_EQ(sent->value, bits & 1 ? value : Value());
      EXPECT_EQ(sent->session_id, request.session_id());
      EXPECT_EQ(sent->expected_step, request.expected_step());
      EXPECT_EQ(sent->request_id, request.request_id());
      EXPECT_EQ(sent->quiet, request.quiet());
    }
  }
}

TEST(HotMessagesTest, WhatIsNotPlainIsLeftToProtobuf) {
  v1::Command plain;
  plain.set_session_id("s");
  plain.mutable_send()->set_integer(1);
  const auto left = [](const v1::Command& command) {
    return !ReadPlainCommand(command.SerializeAsString(), kMaxBytes).has_value();
  };
  ASSERT_FALSE(left(plain));
  v1::Command command = plain;
  command.clear_send();
  EXPECT_TRUE(left(command)) << "no operation";
  command.mutable_close();
  EXPECT_TRUE(left(command));
  command.mutable_throw_()->set_type("E");
  EXPECT_TRUE(left(command));
  command.mutable_create();
  EXPECT_TRUE(left(command));
  for (const Value& value : OtherValues()) {
    command = plain;
    wire::ToProto(value, command.mutable_send());
    EXPECT_TRUE(left(command));
  }
  command = plain;
  command.set_session_id("\xc3\xa4");
  EXPECT_TRUE(left(command)) << "not ASCII";
  command = plain;
  command.set_request_id("\xc3\xa4");
  EXPECT_TRUE(left(command)) << "not ASCII";
  command = plain;
  command.mutable_send()->set_text(std::string(kMaxBytes, 'x'));
  EXPECT_TRUE(left(command)) << "too large";
  const std::string bytes = plain.SerializeAsString();
  EXPECT_FALSE(ReadPlainCommand(bytes + bytes, kMaxBytes).has_value()) << "fields twice";
  EXPECT_FALSE(ReadPlainCommand(bytes + "\x78\x01", kMaxBytes).has_value()) << "an unknown field";
  EXPECT_FALSE(ReadPlainCommand(std::string("\x1a\x04\x22\x02\xff\xff", 6), kMaxBytes).has_value()) << "not UTF-8";
  for (std::size_t i = 1; i < bytes.size(); ++i) {
    const std::optional<PlainSend> part = ReadPlainCommand(bytes.substr(0, i), kMaxBytes);
    v1::Command parsed;
    // A part may be a whole message; then it reads as that.
    if (part) {
      EXPECT_TRUE(parsed.ParseFromString(bytes.substr(0, i)));
    }
  }
}

TEST(HotMessagesTest, ReadsNothingThatProtobufReadsOtherwise) {
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same each time
  v1::Command command;
  command.set_tag(7);
  command.set_session_id("session");
  command.mutable_send()->set_text("text");
  command.set_expected_step(3);
  command.set_request_id("request");
  command.set_quiet(true);
  const std::string original = command.SerializeAsString();
  int plain = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string bytes = original;
    for (unsigned changes = 0; changes <= random() % 3; ++changes) {
      const std::size_t place = random() % bytes.size();
      switch (random() % 3) {
        case 0:
          bytes[place] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(place, 1);
          break;
        default:
          bytes.insert(place, 1, static_cast<char>(random()));
          break;
      }
    }
    const std::optional<PlainSend> send = ReadPlainCommand(bytes, kMaxBytes);
    if (!send) continue;
    ++plain;
    v1::Command parsed;
    ASSERT_TRUE(parsed.ParseFromString(bytes));
    ASSERT_TRUE(parsed.has_send());
    const absl::StatusOr<Value> value = wire::FromProto(parsed.send());
    ASSERT_TRUE(value.ok());
    ASSERT_EQ(send->value, *value);
    ASSERT_EQ(send->tag, parsed.tag());
    ASSERT_EQ(send->session_id, parsed.session_id());
    ASSERT_EQ(send->expected_step, parsed.expected_step());
    ASSERT_EQ(send->request_id, parsed.request_id());
    ASSERT_EQ(send->resume, parsed.resume());
    ASSERT_EQ(send->quiet, parsed.quiet());
  }
  EXPECT_GT(plain, 10'000);
}

TEST(HotMessagesTest, SplitsAMessage) {
  v1::DriveRequest request;
  for (int i = 0; i < 300; ++i) request.add_commands()->set_session_id(std::string(static_cast<std::size_t>(i), 'x'));
  const std::string bytes = request.SerializeAsString();
  CommandReader reader(bytes);
  for (const v1::Command& command : request.commands()) {
    const std::optional<std::string_view> next = reader.Next();
    ASSERT_TRUE(next.has_value());
    EXPECT_EQ(*next, command.SerializeAsString());
  }
  EXPECT_FALSE(reader.Next().has_value());
  EXPECT_TRUE(reader.ok());

  for (const std::string& wrong : {bytes + "\x10\x01", bytes + "\x0a\x05", bytes + "\x0a"}) {
    CommandReader part(wrong);
    while (part.Next()) {
    }
    EXPECT_FALSE(part.ok());
  }
}

TEST(HotMessagesTest, WritesWhatProtobufWrites) {
  std::vector<Value> values = PlainValues();
  for (const Value& value : OtherValues()) values.push_back(value);
  for (const Value& value : values) {
    for (const Outcome::Kind kind : {Outcome::Kind::kYielded, Outcome::Kind::kReturned, Outcome::Kind::kRaised}) {
      if (kind == Outcome::Kind::kRaised && value.kind() != Value::Kind::kException) continue;
      for (int bits = 0; bits < 8; ++bits) {
        const Reply reply{
            .step = bits & 1 ? 1'000'000U : 0U, .outcome = Outcome{value, kind}, .replayed = (bits & 2) != 0};
        const bool quiet = (bits & 4) != 0;
        v1::DriveResponse response;
        v1::Reply& proto = *response.add_replies();
        proto.set_tag(reply.step);
        ToProto(reply, quiet ? Loudness::kQuiet : Loudness::kLoud, proto.mutable_outcome());
        proto.set_replayed(reply.replayed);
        std::string bytes = "before";
        AppendReply(reply.step, reply, quiet, bytes);
        ASSERT_EQ(bytes, "before" + response.SerializeAsString()) << response.DebugString();

        v1::SendResponse sent;
        *sent.mutable_outcome() = proto.outcome();
        sent.set_replayed(reply.replayed);
        bytes.clear();
        AppendSendResponse(reply, quiet, bytes);
        ASSERT_EQ(bytes, sent.SerializeAsString()) << sent.DebugString();
      }
    }
  }
  std::string bytes;
  AppendSendResponse(Reply{}, false, bytes);
  EXPECT_EQ(bytes, std::string("\x0a\0", 2)) << "a Create that did not prime";
}

}  // namespace
}  // namespace corod::rpc
