#include "server/wire/value_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "server/base/failure.h"
#include "server/coroutine/errors.h"
#include "server/coroutine/limits.h"
#include "server/coroutine/map.h"
#include "server/coroutine/text_form.h"
#include "tests/unit/wire/random_values.h"

namespace corod::wire {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

v1::Value Encoded(const Value& value) {
  v1::Value proto;
  ToProto(value, &proto);
  return proto;
}

v1::Exception Encoded(const Exception& exception) {
  v1::Exception proto;
  ToProto(exception, &proto);
  return proto;
}

// Over the wire and back, as bytes.
Value RoundTrip(const Value& value) {
  v1::Value proto;
  EXPECT_TRUE(proto.ParseFromString(Encoded(value).SerializeAsString()));
  const absl::StatusOr<Value> back = FromProto(proto);
  EXPECT_TRUE(back.ok()) << back.status();
  return back.ok() ? *back : Value("no value");
}

Exception RoundTrip(const Exception& exception) {
  const absl::StatusOr<Exception> back = FromProto(Encoded(exception));
  EXPECT_TRUE(back.ok()) << back.status();
  return back.ok() ? *back : py::BaseException();
}

Reason ReasonOf(const absl::Status& status) {
  for (const Reason reason : {Reason::VALUE_TOO_DEEP, Reason::VALUE_TOO_LARGE, Reason::INVALID_EXCEPTION}) {
    if (IsFailure(status, reason)) return reason;
  }
  ADD_FAILURE() << status;
  return Reason::DRAINING;
}

template <typename Proto>
Reason RefusalOf(const Proto& proto, const ValueLimits& limits = {}) {
  return ReasonOf(FromProto(proto, limits).status());
}

// Values.

TEST(ValueCodecTest, EveryKindComesBack) {
  const Value exception = py::ValueError("v");
  for (const Value& value :
       {Value(), Value(true), Value(false), Value(0), Value(-1), Value(10.0), Value(""), Value("\xe2\x82\xac"),
        Value::Blob(""), Value::Blob(std::string("\0\xff", 2)), Value(List{}), Value(List{Value(), 1, List{}}),
        Value(Map{}), Value(Map{{"", Value()}, {"b", 1}, {"a", Map{}}}),
        Value(Message{"type.googleapis.com/x.Y", "\xff"}), Value(Message{}), exception}) {
    EXPECT_EQ(RoundTrip(value), value) << Repr(value);
  }
}

TEST(ValueCodecTest, NumbersAtTheirLimitsComeBack) {
  for (const Value& value :
       {Value(std::numeric_limits<std::int64_t>::min()), Value(std::numeric_limits<std::int64_t>::max()), Value(-0.0),
        Value(std::numeric_limits<double>::infinity()), Value(std::nan("")), Value(5e-324)}) {
    EXPECT_EQ(RoundTrip(value), value) << Repr(value);
  }
}

TEST(ValueCodecTest, IntegerAndNumberStayWhatTheyAre) {
  EXPECT_EQ(Encoded(Value(10)).kind_case(), v1::Value::kInteger);
  EXPECT_EQ(Encoded(Value(10.0)).kind_case(), v1::Value::kNumber);
  EXPECT_EQ(Encoded(Value(true)).kind_case(), v1::Value::kBoolean);
  EXPECT_EQ(Encoded(Value()).kind_case(), v1::Value::KIND_NOT_SET);
}

TEST(ValueCodecTest, MapKeepsItsOrder) {
  const v1::Value proto = Encoded(Map{{"b", 1}, {"a", 2}});
  ASSERT_EQ(proto.map().entries_size(), 2);
  EXPECT_EQ(proto.map().entries(0).key(), "b");
}

TEST(ValueCodecTest, KeyThatComesTwiceKeepsItsFirstPlaceAndItsLastValue) {
  v1::Value proto = Encoded(Map{{"a", 1}, {"b", 2}});
  v1::MapValue::Entry* again = proto.mutable_map()->add_entries();
  again->set_key("a");
  again->mutable_value()->set_integer(3);
  EXPECT_EQ(*FromProto(proto), Value(Map{{"a", 3}, {"b", 2}}));
}

TEST(ValueCodecTest, EntryWithoutValueIsNull) {
  v1::Value proto;
  proto.mutable_map()->add_entries()->set_key("a");
  EXPECT_EQ(*FromProto(proto), Value(Map{{"a", Value()}}));
}

TEST(ValueCodecTest, EncodingReplacesWhatStoodThere) {
  v1::Value proto;
  proto.set_text("before");
  ToProto(Value(), &proto);
  EXPECT_EQ(proto.kind_case(), v1::Value::KIND_NOT_SET);
}

TEST(ValueCodecTest, RandomValuesComeBack) {
  RandomValues values(1);
  for (int i = 0; i < 3'000; ++i) {
    const Value value = values.Next(6);
    ASSERT_EQ(RoundTrip(value), value) << Repr(value);
  }
}

TEST(ValueCodecTest, MeasureIsTheEncodedSize) {
  RandomValues values(2);
  for (int i = 0; i < 3'000; ++i) {
    const Value value = values.Next(6);
    const ValueMeasure measure = Measure(value, {});
    ASSERT_EQ(measure.fault, ValueMeasure::Fault::kNone);
    ASSERT_EQ(measure.bytes, Encoded(value).ByteSizeLong()) << Repr(value);
  }
}

TEST(ValueCodecTest, MeasureOfAnExceptionIsTheEncodedSize) {
  RandomValues values(3);
  for (int i = 0; i < 1'000; ++i) {
    const Exception exception = values.NextException(5);
    ASSERT_EQ(Measure(exception, {}).bytes, Encoded(exception).ByteSizeLong()) << exception.message();
  }
}

TEST(ValueCodecTest, MeasureAgreesAtTheStepsOfVarints) {
  for (const std::size_t size : {0, 1, 127, 128, 129, 16'383, 16'384, 16'385}) {
    const Value text = std::string(size, 'x');
    EXPECT_EQ(Measure(text, {}).bytes, Encoded(text).ByteSizeLong()) << size;
    const Value list = List{text};
    EXPECT_EQ(Measure(list, {}).bytes, Encoded(list).ByteSizeLong()) << size;
  }
  for (int bit = 0; bit < 64; ++bit) {
    const Value integer = static_cast<std::int64_t>(std::uint64_t{1} << bit);
    EXPECT_EQ(Measure(integer, {}).bytes, Encoded(integer).ByteSizeLong()) << bit;
  }
}

// Depth.

class DepthTest : public testing::Test {
 protected:
  // Layers by their first letters, the outermost first: list, map, exception.
  static Value Layers(const std::string& kinds) {
    Value value = 0;
    for (auto kind = kinds.rbegin(); kind != kinds.rend(); ++kind) {
      if (*kind == 'l') value = List{value};
      if (*kind == 'm') value = Map{{"k", value}};
      if (*kind == 'e') value = Exception("ValueError", {value});
    }
    return value;
  }
  static std::string Mixed(int depth) {
    std::string kinds;
    while (static_cast<int>(kinds.size()) < depth) kinds += "lme"[kinds.size() % 3];
    return kinds;
  }
};

TEST_F(DepthTest, TwentyFourIsTaken) {
  for (const std::string& kinds : {std::string(24, 'l'), std::string(24, 'm'), std::string(24, 'e'), Mixed(24)}) {
    EXPECT_EQ(RoundTrip(Layers(kinds)), Layers(kinds)) << kinds;
    EXPECT_EQ(Measure(Layers(kinds), {}).fault, ValueMeasure::Fault::kNone) << kinds;
  }
}

TEST_F(DepthTest, TwentyFiveIsRefusedGoingInAndComingOut) {
  for (const std::string& kinds : {std::string(25, 'l'), std::string(25, 'm'), std::string(25, 'e'), Mixed(25)}) {
    EXPECT_EQ(RefusalOf(Encoded(Layers(kinds))), Reason::VALUE_TOO_DEEP) << kinds;
    EXPECT_EQ(Measure(Layers(kinds), {}).fault, ValueMeasure::Fault::kTooDeep) << kinds;
  }
}

TEST_F(DepthTest, EmptyListsCount) {
  EXPECT_EQ(RefusalOf(Encoded(Layers(std::string(24, 'l') + "l"))), Reason::VALUE_TOO_DEEP);
  Value value = List{};
  for (int i = 0; i < 24; ++i) value = List{value};
  EXPECT_EQ(RefusalOf(Encoded(value)), Reason::VALUE_TOO_DEEP);
}

TEST_F(DepthTest, WidthDoesNotCount) {
  const Value wide = List(1'000, Layers(std::string(23, 'l')));
  EXPECT_EQ(RoundTrip(wide), wide);
}

TEST_F(DepthTest, CauseOfAnExceptionThatIsAValueIsDeeper) {
  const auto chain_under = [](int lists) {
    Value value = From(py::ValueError(1), py::KeyError(2));
    for (int i = 0; i < lists; ++i) value = List{value};
    return value;
  };
  EXPECT_EQ(RoundTrip(chain_under(22)), chain_under(22));
  EXPECT_EQ(RefusalOf(Encoded(chain_under(23))), Reason::VALUE_TOO_DEEP);
  EXPECT_EQ(Measure(chain_under(23), {}).fault, ValueMeasure::Fault::kTooDeep);
}

TEST_F(DepthTest, ArgumentsOfAThrownExceptionBeginAnew) {
  Exception chain = Exception("ValueError", {Layers(std::string(24, 'm'))});
  for (int level = 1; level < 16; ++level) {
    Exception next("ValueError", {Layers(std::string(24, 'm'))});
    next.SetCause(chain);
    chain = next;
  }
  EXPECT_EQ(RoundTrip(chain), chain);
  EXPECT_EQ(Measure(chain, {}).fault, ValueMeasure::Fault::kNone);
  v1::Exception parsed;
  EXPECT_TRUE(parsed.ParseFromString(Encoded(chain).SerializeAsString())) << "a client can read it";
  EXPECT_EQ(RefusalOf(Encoded(Exception("ValueError", {Layers(std::string(25, 'l'))}))), Reason::VALUE_TOO_DEEP);
}

TEST_F(DepthTest, LimitIsTheServers) {
  EXPECT_EQ(RefusalOf(Encoded(Layers("ll")), {.max_depth = 1}), Reason::VALUE_TOO_DEEP);
  EXPECT_TRUE(FromProto(Encoded(Layers("l")), {.max_depth = 1}).ok());
}

// Size.

TEST(SizeTest, OneMebibyteIsTaken) {
  const std::string fits((std::size_t{1} << 20) - 4, 'x');  // its tag and length take four
  EXPECT_TRUE(FromProto(Encoded(Value(fits))).ok());
  EXPECT_EQ(Measure(Value(fits), {}).fault, ValueMeasure::Fault::kNone);
}

TEST(SizeTest, OneByteMoreIsRefusedGoingInAndComingOut) {
  const std::string large((std::size_t{1} << 20) - 3, 'x');
  EXPECT_EQ(RefusalOf(Encoded(Value(large))), Reason::VALUE_TOO_LARGE);
  EXPECT_EQ(Measure(Value(large), {}).fault, ValueMeasure::Fault::kTooLarge);
}

TEST(SizeTest, RefusalSaysHowLargeAndHowLargeItMayBe) {
  const absl::Status status = FromProto(Encoded(Value(std::string(100, 'x'))), {.max_bytes = 50}).status();
  EXPECT_EQ(DetailsOf(status).metadata["bytes"], "102");
  EXPECT_EQ(DetailsOf(status).metadata["max_bytes"], "50");
}

TEST(SizeTest, ExceptionThatIsTooLargeIsRefused) {
  EXPECT_EQ(RefusalOf(Encoded(py::ValueError(std::string(100, 'x'))), {.max_bytes = 50}), Reason::VALUE_TOO_LARGE);
}

// Exceptions.

TEST(ExceptionCodecTest, AllOfItComesBack) {
  Exception exception("app.Full", {1, "two"}, {"LookupError", "Exception"});
  exception.SetMessage("full");
  exception.AddNote("a note");
  exception.SetTraceback("line 1");
  exception.SetCause(py::KeyError("k"));
  exception.SetContext(py::IndexError("i"));
  const Exception back = RoundTrip(exception);
  EXPECT_EQ(back, exception);
  EXPECT_EQ(back.traceback(), "line 1");
  EXPECT_TRUE(back.suppress_context());
  EXPECT_TRUE(back.IsA("LookupError"));
}

TEST(ExceptionCodecTest, ContextWithoutCauseIsNotSuppressed) {
  py::ValueError exception("v");
  exception.SetContext(py::KeyError("k"));
  EXPECT_FALSE(RoundTrip(exception).suppress_context());
  EXPECT_EQ(RoundTrip(exception).context()->type(), "KeyError");
}

TEST(ExceptionCodecTest, ContextThatIsTheCauseIsSentOnceAndIsOneObjectAgain) {
  const py::KeyError shared("k");
  py::ValueError exception("v");
  exception.SetCause(shared);
  exception.SetContext(shared);
  EXPECT_TRUE(Encoded(exception).context_is_cause());
  EXPECT_FALSE(Encoded(exception).has_context());
  const Exception back = RoundTrip(exception);
  EXPECT_TRUE(back.cause()->Is(*back.context()));
}

TEST(ExceptionCodecTest, EqualButDifferentContextAndCauseStayTwo) {
  py::ValueError exception("v");
  exception.SetCause(py::KeyError("k"));
  exception.SetContext(py::KeyError("k"));
  const Exception back = RoundTrip(exception);
  EXPECT_FALSE(back.cause()->Is(*back.context()));
}

TEST(ExceptionCodecTest, MessageThatIsNotGivenIsThatOfTheArguments) {
  v1::Exception proto;
  proto.set_type("ValueError");
  proto.add_arguments()->set_text("from the argument");
  EXPECT_EQ(FromProto(proto)->message(), "from the argument");
}

TEST(ExceptionCodecTest, TypeThatIsNoNameIsInvalid) {
  for (const std::string& type : {std::string(), std::string("two words"), std::string("a\n"), std::string(257, 'x')}) {
    v1::Exception proto;
    proto.set_type(type);
    EXPECT_EQ(RefusalOf(proto), Reason::INVALID_EXCEPTION) << type;
    v1::Value value;
    *value.mutable_exception() = proto;
    EXPECT_EQ(RefusalOf(value), Reason::INVALID_EXCEPTION) << type;
  }
}

TEST(ExceptionCodecTest, TypeMayBeOfAnyLanguage) {
  v1::Exception proto;
  proto.set_type("paket.Ausnahme_\xc3\xa4");
  EXPECT_TRUE(FromProto(proto).ok());
}

TEST(ExceptionCodecTest, InvalidCauseMakesItInvalid) {
  v1::Exception proto;
  proto.set_type("ValueError");
  proto.mutable_cause();
  EXPECT_EQ(RefusalOf(proto), Reason::INVALID_EXCEPTION);
}

class ChainTest : public testing::Test {
 protected:
  // ValueError(0) is the innermost. Made as a message: an exception is not asked to hold that much.
  static v1::Exception Chain(int levels) {
    v1::Exception proto;
    v1::Exception* level = &proto;
    for (int left = levels - 1;; --left) {
      level->set_type("ValueError");
      level->set_message(std::to_string(left));
      if (left == 0) return proto;
      level = level->mutable_cause();
    }
  }
  static Exception Last(Exception exception) {
    while (exception.cause()) exception = *exception.cause();
    return exception;
  }
  static int LevelsOf(Exception exception) {
    int levels = 1;
    for (; exception.cause(); ++levels) exception = *exception.cause();
    return levels;
  }
  static int Count(const Exception& exception) {
    int count = 1;
    if (exception.cause()) count += Count(*exception.cause());
    if (exception.context()) count += Count(*exception.context());
    return count;
  }
  static v1::Exception Tree(int levels) {
    v1::Exception proto;
    proto.set_type("ValueError");
    if (levels > 1) *proto.mutable_cause() = *proto.mutable_context() = Tree(levels - 1);
    return proto;
  }
};

TEST_F(ChainTest, SixteenLevelsAreTaken) {
  const Exception chain = *FromProto(Chain(16));
  EXPECT_EQ(LevelsOf(chain), 16);
  EXPECT_TRUE(Last(chain).notes().empty());
}

TEST_F(ChainTest, SeventeenthLevelBecomesANote) {
  const Exception chain = *FromProto(Chain(17));
  EXPECT_EQ(LevelsOf(chain), 16);
  EXPECT_THAT(Last(chain).notes(), ElementsAre("cause left out: ValueError: 0"));
}

TEST_F(ChainTest, ChainOfAHundredIsCut) { EXPECT_EQ(LevelsOf(*FromProto(Chain(100))), 16); }

TEST_F(ChainTest, SixtyFourExceptionsAreTakenAndTheRestBecomesNotes) {
  EXPECT_EQ(Count(*FromProto(Tree(6))), 63);
  const Exception cut = *FromProto(Tree(7));
  EXPECT_EQ(Count(cut), 64) << "itself and its cause's 63";
  EXPECT_FALSE(cut.context().has_value());
  EXPECT_THAT(cut.notes(), ElementsAre(StartsWith("context left out: ValueError")));
  EXPECT_TRUE(cut.cause()->notes().empty());
}

TEST_F(ChainTest, SnapshotCutsAsTheDecoderDoes) {
  Exception chain = py::ValueError(0);
  for (int level = 1; level < 17; ++level) chain = From(py::ValueError(level), chain);
  EXPECT_EQ(LevelsOf(chain.Snapshot()), 16);
  EXPECT_EQ(Last(chain.Snapshot()).notes(), Last(*FromProto(Chain(17))).notes());
}

}  // namespace
}  // namespace corod::wire
