#include "server/journal/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <bit>
#include <limits>
#include <optional>
#include <random>

#include "corod/journal/v1/journal.pb.h"
#include "server/base/crc32c.h"
#include "server/coroutine/map.h"
#include "server/journal/plain_batch.h"
#include "tests/unit/journal/journal_test_base.h"

namespace corod {
namespace {

using testing::HasSubstr;

Exception RichException() {
  Exception cause("KeyError", {Value("k")});
  cause.SetTraceback("in body, line 3");
  Exception context("shop.OutOfStock", {Value(3)}, {"shop.Error", "Exception"});
  context.AddNote("try tomorrow");
  Exception exception("ValueError", {Value("bad"), Value(List{Value(1), Value()})});
  exception.SetMessage("very bad");
  exception.AddNote("one");
  exception.AddNote("two");
  exception.SetContext(context);
  exception.SetCause(cause);
  return exception;
}

std::vector<Value> AllKinds() {
  Map map;
  map["z"] = Value();
  map["a"] = Value(List{Value(true), Value(1.5)});
  Exception same("TypeError");
  Exception both("ValueError");
  both.SetContext(same);
  both.SetCause(same);
  return {Value(),
          Value(false),
          Value(std::numeric_limits<std::int64_t>::min()),
          Value(-0.0),
          Value(std::numeric_limits<double>::quiet_NaN()),
          Value(std::numeric_limits<double>::infinity()),
          Value(1.0),
          Value(1),
          Value("grün"),
          Value(""),
          Value::Blob(std::string("\0\xff", 2)),
          Value(List{}),
          Value(std::move(map)),
          Value(Message{"type.example/shop.Order", std::string("\x08\x01", 2)}),
          Value(RichException()),
          Value(both)};
}

Batch FullBatch() {
  Batch batch{{7, 0xfedcba9876543210}, {5, 1}, 12, 0x8000000000000001, {}};
  for (const Value& value : AllKinds()) {
    Record record;
    record.value = value;
    record.request_id = "request";
    record.fingerprint = ~std::uint64_t{0};
    record.time = absl::FromUnixNanos(1'234'567'890'123'456'789);
    batch.records.push_back(record);
  }
  Record thrown;
  thrown.operation = Operation::kThrow;
  thrown.value = Value(RichException());
  batch.records.push_back(thrown);
  for (const Operation operation : {Operation::kClose, Operation::kDelete}) {
    for (const CloseCause cause :
         {CloseCause::kClient, CloseCause::kIdle, CloseCause::kExpired, CloseCause::kDrain, CloseCause::kDelete}) {
      Record record;
      record.operation = operation;
      record.cause = cause;
      record.force = cause == CloseCause::kDrain;
      batch.records.push_back(record);
    }
  }
  Record prime;
  prime.operation = Operation::kCreate;
  prime.time = absl::FromUnixNanos(-1);
  batch.records.push_back(prime);
  return batch;
}

Head FullHead() {
  Head head = HeadOf("s", "u");
  head.arguments = AllKinds();
  head.create_request_id = "c";
  head.create_fingerprint = 3;
  head.create_primed = true;
  head.seed = 0x9999999999999999;
  head.catalog_revision = 1'000;
  head.labels = {{"a", "b"}, {"", ""}};
  head.idle_timeout = absl::Nanoseconds(1);
  head.expire_time = At(99);
  head.steps = 40;
  head.state = CoroutineState::kClosed;
  head.last_outcome = StepOutcome{40, Outcome::Raised(RichException())};
  head.finish_time = At(98);
  head.digest = 17;
  head.earliest_step = 3;
  head.problem = SessionProblem{"REPLAY_DIVERGED", "at step 39", 39};
  head.crashes = 2;
  return head;
}

Checkpoint FullCheckpoint() {
  Checkpoint checkpoint = CheckpointOf(9, {4, 5});
  checkpoint.digest = 6;
  checkpoint.ids = {{"a", 1, 2}, {"b", 3, 4}};
  return checkpoint;
}

CatalogEvent FullCatalogEvent() {
  return {.revision = 300,
          .kind = CatalogEvent::Kind::kLua,
          .name = "grün",
          .version = 7,
          .source = std::string("return '\0\xff'", 11),
          .documentation = "What it does.",
          .time = absl::FromUnixNanos(1'234'567'890'123'456'789)};
}

// The frame that Encode has put around a message, around another one.
std::string Framed(char version, const std::string& message) {
  std::uint32_t checksum = version >= 3 ? Crc32c(message, Crc32c({&version, 1})) : Crc32c(message);
  std::string bytes(1, version);
  for (int i = 0; i < 4; ++i, checksum >>= 8) bytes.push_back(static_cast<char>(checksum));
  return bytes + message;
}

TEST(CodecTest, BatchesComeBackAsTheyWere) {
  const absl::StatusOr<Batch> batch = DecodeBatch(Encode(FullBatch()));
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(*batch, FullBatch());
  const Value& number = batch->records[3].value;
  EXPECT_EQ(std::bit_cast<std::uint64_t>(number.AsNumber()), std::bit_cast<std::uint64_t>(-0.0));
  const Exception rich = batch->records[14].value.AsException();
  EXPECT_EQ(rich.cause()->traceback(), "in body, line 3");
  EXPECT_TRUE(rich.suppress_context());
  const Exception both = batch->records[15].value.AsException();
  EXPECT_TRUE(both.context()->Is(*both.cause()));
}

TEST(CodecTest, ClaimsComeBackAsTheyWere) {
  const Batch claim{{2, 8}, {}, 1, 0, {}};
  EXPECT_EQ(*DecodeBatch(Encode(claim)), claim);
}

TEST(CodecTest, HeadsComeBackAsTheyWere) {
  const absl::StatusOr<Head> full = DecodeHead(Encode(FullHead()));
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_EQ(*full, FullHead());
  EXPECT_EQ(*DecodeHead(Encode(HeadOf("s", "u"))), HeadOf("s", "u"));
}

TEST(CodecTest, CheckpointsAndTombstonesComeBackAsTheyWere) {
  EXPECT_EQ(*DecodeCheckpoint(Encode(FullCheckpoint())), FullCheckpoint());
  const Tombstone tombstone{"r", 5, {3, Outcome::Returned(Value())}, At(5)};
  EXPECT_EQ(*DecodeTombstone(Encode(tombstone), "r"), tombstone);
}

TEST(CodecTest, CatalogEventsComeBackAsTheyWere) {
  for (const CatalogEvent::Kind kind :
       {CatalogEvent::Kind::kNative, CatalogEvent::Kind::kLua, CatalogEvent::Kind::kRemoved}) {
    CatalogEvent event = FullCatalogEvent();
    event.kind = kind;
    const absl::StatusOr<CatalogEvent> decoded = DecodeCatalogEvent(Encode(event), 300);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, event);
  }
  CatalogEvent least;
  least.revision = ~std::uint64_t{0};
  EXPECT_EQ(*DecodeCatalogEvent(Encode(least), least.revision), least);
}

TEST(CodecTest, WhatIsWrongWithACatalogEventIsToldWithItsRevision) {
  const auto expect_damage = [](const std::string& bytes, std::uint64_t revision, const char* why) {
    const absl::Status status = DecodeCatalogEvent(bytes, revision).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_EQ(status.message(), "a catalog event of revision " + std::to_string(revision) + " in the journal " + why);
  };
  const std::string bytes = Encode(FullCatalogEvent());
  expect_damage(bytes, 301, "is damaged: it is another revision's");
  expect_damage(bytes.substr(0, bytes.size() - 1), 300, "is damaged: its checksum is wrong");
  expect_damage("", 300, "is damaged: it is cut off");
  expect_damage('\4' + bytes.substr(1), 300, "was written by a newer corod (format version 4; this one knows 3)");
  expect_damage(Framed(3, bytes.substr(6)), 300, "is damaged: it cannot be parsed");
  journal::v1::CatalogEvent message;
  ASSERT_TRUE(message.ParseFromString(bytes.substr(5)));
  EXPECT_EQ(Framed(3, message.SerializeAsString()), bytes);
  message.clear_kind();
  expect_damage(Framed(3, message.SerializeAsString()), 300, "is damaged: it is of an unknown kind");
}

TEST(CodecTest, FieldsThatAreNotKnownArePassedOver) {  // fields are only ever added
  const std::string field("\xfa\x3f\x03new", 6);
  const std::string event = Encode(FullCatalogEvent()), head = Encode(FullHead());
  EXPECT_EQ(*DecodeCatalogEvent(Framed(3, event.substr(5) + field), 300), FullCatalogEvent());
  EXPECT_EQ(*DecodeHead(Framed(3, head.substr(5) + field)), FullHead());
}

TEST(CodecTest, ExportItemsComeBackAsTheyWere) {
  for (const ExportItem& item : {ExportItem(FullHead()), ExportItem(FullCheckpoint()), ExportItem(FullBatch())}) {
    const absl::StatusOr<ExportItem> decoded = DecodeExportItem(Encode(item));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_TRUE(*decoded == item);
  }
}

TEST(CodecTest, DeepValuesComeBack) {
  Batch batch = BatchOf({1, 1}, {}, 1);
  for (int depth = 0; depth < 150; ++depth) {
    Map map;
    map["deeper"] = batch.records[0].value;
    batch.records[0].value = Value(std::move(map));
  }
  EXPECT_EQ(*DecodeBatch(Encode(batch)), batch);
}

TEST(CodecTest, EveryFlippedBitIsFound) {
  const std::string batch = Encode(BatchOf({1, 2}, {}, 1));
  const std::string event = Encode(FullCatalogEvent());
  for (const std::string& bytes : {batch, event}) {
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string damaged = bytes;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      const absl::Status status =
          bytes == batch ? DecodeBatch(damaged).status() : DecodeCatalogEvent(damaged, 300).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << bit;
    }
  }
}

TEST(CodecTest, WhatIsCutOffIsFound) {
  const std::string bytes = Encode(FullHead());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodeHead(bytes.substr(0, size)).status().code(), absl::StatusCode::kDataLoss) << size;
  }
}

TEST(CodecTest, NewerVersionIsNamed) {
  std::string bytes = Encode(FullCheckpoint());
  bytes[0] = 4;
  const absl::Status status = DecodeCheckpoint(bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("written by a newer corod"));
}

// The frame as docs/journal.md has it: version, CRC-32C with the lowest byte first, message.
TEST(CodecTest, FrameIsAsDocumented) {
  const std::string bytes = Encode(Batch{{1, 2}, {}, 3, 0, {}});
  const std::string message("\x0a\x0b\x08\x01\x11\x02\0\0\0\0\0\0\0\x18\x03", 15);
  ASSERT_EQ(bytes.size(), 5 + message.size());
  EXPECT_EQ(bytes[0], 2);
  EXPECT_EQ(bytes.substr(5), message);
  std::uint32_t checksum = Crc32c(message);
  for (std::size_t i = 1; i < 5; ++i, checksum >>= 8) EXPECT_EQ(static_cast<std::uint8_t>(bytes[i]), checksum & 0xff);
}

// What an older corod must not overlook has a version that it refuses, and nothing else has.
TEST(CodecTest, OnlyWhatTellsOfTheCatalogIsOfVersionThree) {
  Head head = FullHead();
  EXPECT_EQ(Encode(head)[0], 3);
  EXPECT_EQ(Encode(ExportItem(head))[0], 3);
  head.catalog_revision = 0;
  EXPECT_EQ(Encode(head)[0], 2);
  EXPECT_EQ(Encode(ExportItem(head))[0], 2);
  EXPECT_EQ(Encode(ExportItem(FullBatch()))[0], 2);
  EXPECT_EQ(Encode(FullBatch())[0], 2);
  EXPECT_EQ(Encode(FullCheckpoint())[0], 2);

  const std::string message(
      "\x08\x05\x10\x02\x1a\x01n\x20\x03\x2a\x02s\xff\x32\x01"
      "d\x39\x01\0\0\0\0\0\0\0",
      25);
  EXPECT_EQ(Encode(CatalogEvent{.revision = 5,
                                .kind = CatalogEvent::Kind::kLua,
                                .name = "n",
                                .version = 3,
                                .source = "s\xff",
                                .documentation = "d",
                                .time = absl::FromUnixNanos(1)}),
            Framed(3, message));
}

TEST(CodecTest, WhatVersionOneWroteIsRead) {
  const Batch batch{{1, 2}, {}, 3, 0, {}};
  std::string bytes = Encode(batch);
  auto checksum = static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data() + 5), static_cast<uInt>(bytes.size() - 5)));
  EXPECT_EQ(DecodeBatch('\1' + bytes.substr(1)).status().code(), absl::StatusCode::kDataLoss);
  bytes[0] = 1;
  for (std::size_t i = 1; i < 5; ++i, checksum >>= 8) bytes[i] = static_cast<char>(checksum);
  EXPECT_EQ(*DecodeBatch(bytes), batch);
}

// What is written without protobuf's objects is what protobuf would write.
TEST(CodecTest, PlainBatchesAreAsProtobufWritesThem) {
  const auto numbers = {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{127}, std::uint64_t{128}, ~std::uint64_t{0}};
  const std::vector<Value> values = {Value(),
                                     Value(true),
                                     Value(false),
                                     Value(0),
                                     Value(-1),
                                     Value(std::numeric_limits<std::int64_t>::min()),
                                     Value(std::numeric_limits<std::int64_t>::max()),
                                     Value(0.0),
                                     Value(-0.0),
                                     Value(std::numeric_limits<double>::quiet_NaN()),
                                     Value(""),
                                     Value(std::string(200, 'x')),
                                     Value::Blob(""),
                                     Value::Blob(std::string("\0\xff", 2))};
  for (const std::uint64_t number : numbers) {
    for (std::size_t records = 0; records < 4; ++records) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        Batch batch{{number + 1, number}, {number, number}, number, number, {}};
        for (std::size_t r = 0; r < records; ++r) {
          Record record;
          record.operation = r == 2 ? Operation::kCreate : Operation::kSend;
          if (r != 2) record.value = values[(i + r) % values.size()];
          if (r % 2 == 1) record.request_id = std::string(number % 200, 'r');
          record.fingerprint = r == 0 ? 0 : number;
          record.time = absl::FromUnixNanos(static_cast<std::int64_t>(number));
          batch.records.push_back(std::move(record));
        }
        ASSERT_TRUE(plain_batch::SizeOf(batch));
        const std::string bytes = Encode(batch);
        journal::v1::Batch message;
        ASSERT_TRUE(message.ParseFromString(bytes.substr(5)));
        EXPECT_EQ(message.SerializeAsString(), bytes.substr(5));
        EXPECT_EQ(plain_batch::Read(std::string_view(bytes).substr(5)), batch);
        EXPECT_EQ(*DecodeBatch(bytes), batch);
      }
    }
  }
  Batch other{{1, 1}, {}, 1, 0, {Record()}};
  other.records[0].value = List{1};
  EXPECT_FALSE(plain_batch::SizeOf(other));
  EXPECT_FALSE(plain_batch::Read(std::string_view(Encode(other)).substr(5)));
  EXPECT_EQ(*DecodeBatch(Encode(other)), other);
}

// Whatever bytes it takes for a plain batch are what protobuf takes them for.
TEST(CodecTest, PlainBatchesAreReadAsProtobufReadsThem) {
  Batch batch{{300, 7}, {299, 6}, 1'000, 5, {}};
  for (const Value& value : {Value(), Value(true), Value(-5), Value(1.5), Value("t\xc3\xa4xt"), Value::Blob("\xff")}) {
    batch.records.push_back({.value = value, .request_id = "r", .fingerprint = 9, .time = absl::FromUnixNanos(11)});
  }
  batch.records.push_back({.operation = Operation::kCreate});
  const std::string bytes = Encode(batch).substr(5);
  std::mt19937 random(7);
  const auto below = [&random](std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
  };
  int taken = 0, refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = bytes;
    for (std::size_t changes = 1 + below(2); changes > 0; --changes) {
      const std::size_t at = below(changed.size());
      switch (below(4)) {
        case 0:
          changed[at] = static_cast<char>(below(256));
          break;
        case 1:
          changed[at] = static_cast<char>(changed[at] ^ 1 << below(8));
          break;
        case 2:
          changed.erase(at, 1 + below(3));
          break;
        default:  // a part once more
          changed.insert(at, changed.substr(below(changed.size()), 1 + below(12)));
          break;
      }
    }
    const std::optional<Batch> read = plain_batch::Read(changed);
    if (!read) {
      ++refused;
      continue;
    }
    ++taken;
    journal::v1::Batch message;
    ASSERT_TRUE(message.ParseFromString(changed)) << i;
    EXPECT_EQ(message.SerializeAsString(), Encode(*read).substr(5)) << i;
  }
  EXPECT_GT(taken, 1'000);
  EXPECT_GT(refused, 1'000);
}

}  // namespace
}  // namespace corod
