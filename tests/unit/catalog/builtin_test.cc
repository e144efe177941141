#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/unit/catalog/driving.h"

namespace corod {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class BuiltinTest : public DrivingTest {};

TEST_F(BuiltinTest, AveragerCountsBooleansAsPythonDoes) {
  EXPECT_THAT(Create("averager"), Yields(nullptr));
  EXPECT_THAT(Send(true), Yields(1.0));
  EXPECT_THAT(Send(0), Yields(0.5));
}

TEST_F(BuiltinTest, AveragerSentAnExceptionNamesItsClass) {
  Create("averager");
  EXPECT_THAT(Send(Exception("mycompany.QuotaExceeded")),
              Raises("TypeError", "unsupported operand type(s) for +=: 'float' and 'QuotaExceeded'"));
  EXPECT_THAT(Send(1), Returns(nullptr));
}

#if COROD_TEST_AS_SHIPPED
TEST_F(BuiltinTest, AveragerFrameIsSmall) {
  Create("averager");
  // Two addresses, total, count and the suspension point. What a step alone needs is in registers (Value).
  EXPECT_LE(LiveFrames().bytes, sizeof(internal::Promise) + 40);
}
#endif

TEST_F(BuiltinTest, DroppedSessionsLeaveNoFrame) {
  for (const Definition* definition : catalog_.ListAfter("", 1000)) {
    if (definition->name == "pipeline") continue;  // has those of its stages
    Map arguments;
    if (definition->name == "batch" || definition->name == "sliding_window") arguments["size"] = 3;
    if (definition->name == "select") arguments["field"] = "a";
    CreateOnly(definition->name, arguments);
    Create(definition->name, arguments);
    EXPECT_EQ(LiveFrames().frames, 1u) << definition->name;
  }
}

TEST_F(BuiltinTest, SlidingWindowRefusesSizesOutOfRange) {
  for (const int size : {0, 1'000'001}) {
    EXPECT_THAT([&] { Create("sliding_window", {{"size", size}}); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("argument 'size' must be from 1 to 1000000")));
  }
}

TEST_F(BuiltinTest, SelectRefusesWhatIsNoPath) {
  for (const char* field : {"", ".", "a.", ".a", "a..b"}) {
    EXPECT_THAT([&] { Create("select", {{"field", field}}); },
                ThrowsMessage<std::invalid_argument>(
                    HasSubstr("argument 'field' must be a name, or names with dots between them")));
  }
}

TEST_F(BuiltinTest, BatchRefusesSizesOutOfRange) {
  for (const int size : {0, 1'000'001}) {
    EXPECT_THAT([&] { Create("batch", {{"size", size}}); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("argument 'size' must be from 1 to 1000000")));
  }
}

TEST_F(BuiltinTest, BatchGoesOnAfterAFullOne) {
  Create("batch", {{"size", 1}});
  EXPECT_THAT(Send(1), Yields(List{1}));
  EXPECT_THAT(Send(2), Yields(List{2}));
  EXPECT_THAT(Close(), Returns(nullptr));
}

TEST_F(BuiltinTest, YieldedWindowDoesNotChangeLater) {
  Create("sliding_window", {{"size", 2}});
  const Outcome first = Send(1);
  Send(2);
  Send(3);
  EXPECT_THAT(first, Yields(List{1}));
}

TEST_F(BuiltinTest, YieldedCountsDoNotChangeLater) {
  Create("token_counter");
  const Outcome first = Send("a");
  Send("a");
  EXPECT_THAT(first, Yields(Map{{"a", 1}}));
}

}  // namespace
}  // namespace corod
