// The built-in coroutines answer the same with and without restarts, and the check that says so finds bad bodies.

#include "server/catalog/restart_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "server/catalog/registration.h"
#include "server/coroutine/step_context.h"
#include "tests/unit/catalog/driving.h"

namespace corod {
namespace {

using ::testing::IsEmpty;
using ::testing::StartsWith;
using Commands = std::vector<CheckedCommand>;

constexpr int kSequences = 2500;  // of each coroutine

// Random input. The same seed gives the same on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::size_t Below(std::size_t n) { return static_cast<std::size_t>(engine_() % n); }
  bool OneIn(std::size_t n) { return Below(n) == 0; }
  std::uint64_t Bits() { return engine_(); }

  template <typename T>
  T Of(const std::vector<T>& choices) {
    return choices[Below(choices.size())];
  }

  std::string Text(std::size_t longest) {
    static const std::vector<std::string> kCharacters = {"a", "b", " ", "\n", "\r", "\t", ",", "\"", "é", "€", "😀"};
    std::string text;
    for (std::size_t size = Below(longest + 1); size > 0; --size) text += Of(kCharacters);
    return text;
  }

  Value Number() {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    switch (Below(6)) {
      case 0:
        return static_cast<std::int64_t>(Below(200)) - 100;
      case 1:
        return OneIn(2);
      case 2:
        return Of<double>({0.0, -0.0, 5e-324, 1e308, -1e308, 0x1p53, 0.1});
      case 3:
        return std::ldexp(static_cast<double>(Below(1'000'000)) - 500'000, static_cast<int>(Below(2000)) - 1060);
      case 4:
        return OneIn(8) ? Value(Of<double>({kInfinity, -kInfinity, std::nan("")})) : Value(1e9 + 1e-7 * Below(1000));
      default:
        return static_cast<std::int64_t>(Bits());
    }
  }

  Value Anything(int depth = 0) {
    switch (Below(depth < 3 ? 8 : 6)) {
      case 0:
        return Value();
      case 1:
      case 2:
        return Number();
      case 3:
        return Text(5);
      case 4:
        return Value::Blob({'\0', static_cast<char>(Below(256))});
      case 5:
        return Exception(Of<std::string>({"ValueError", "KeyError", "mycompany.Odd"}), {Text(3)});
      case 6: {
        List list;
        for (std::size_t size = Below(4); size > 0; --size) list.push_back(Anything(depth + 1));
        return list;
      }
      default: {
        Map map;
        for (std::size_t size = Below(4); size > 0; --size) map[Text(3)] = Anything(depth + 1);
        return map;
      }
    }
  }

 private:
  std::mt19937_64 engine_;
};

// Now and then a wrong value, an exception or a close at any place; at the end often a close.
void Spoil(Random& random, Commands& commands) {
  const auto put = [&](CheckedCommand command) {
    const auto at = static_cast<std::ptrdiff_t>(random.Below(commands.size() + 1));
    commands.insert(commands.begin() + at, std::move(command));
  };
  if (random.OneIn(8)) put(CheckedCommand::Send(random.Anything()));
  if (random.OneIn(8)) {
    put(CheckedCommand::Throw(
        Exception(random.Of<std::string>({"ValueError", "GeneratorExit", "ConnectionError", "SystemExit"}))));
  }
  if (random.OneIn(20)) put(CheckedCommand::Close());
  if (!random.OneIn(3)) commands.push_back(CheckedCommand::Close());
}

Commands SendEach(Random& random, const std::function<Value()>& make) {
  Commands commands{CheckedCommand::Send(Value())};
  for (std::size_t left = random.Below(20); left > 0; --left) commands.push_back(CheckedCommand::Send(make()));
  Spoil(random, commands);
  return commands;
}

// `text` in chunks, cut anywhere, as bytes; whole characters sometimes as text.
Commands Feed(Random& random, std::string text) {
  if (random.OneIn(8)) text.insert(0, "\xef\xbb\xbf");
  if (random.OneIn(10))
    text.insert(random.Below(text.size() + 1), 1, random.Of<char>({'\xff', '\x80', '"', '\r', '}'}));
  Commands commands{CheckedCommand::Send(Value())};
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view chunk = rest.substr(0, 1 + random.Below(random.OneIn(3) ? 30 : 4));
    rest.remove_prefix(chunk.size());
    const bool ascii =
        std::all_of(chunk.begin(), chunk.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    commands.push_back(CheckedCommand::Send(ascii && random.OneIn(2) ? Value(chunk) : Value::Blob(std::string(chunk))));
    if (random.OneIn(20)) commands.push_back(CheckedCommand::Send(Value()));
  }
  Spoil(random, commands);
  return commands;
}

std::string CsvText(Random& random, const std::string& delimiter) {
  std::string text;
  const std::size_t width = 1 + random.Below(3);
  for (std::size_t lines = random.Below(6); lines > 0; --lines) {
    if (random.OneIn(8)) text += random.Of<std::string>({"\n", "\r\n", "\r"});
    for (std::size_t i = 0; i < width; ++i) {
      if (i > 0) text += delimiter;
      if (random.OneIn(3)) {
        text += '"' + random.Of<std::string>({"", "a\"\"b", delimiter, "x\r\ny", "é€😀", "\"\""}) + '"';
      } else {
        text += random.Of<std::string>({"", "name", "a b", "é", "12", "c\"d"}) + std::to_string(random.Below(5));
      }
    }
    if (lines > 1 || random.OneIn(2)) text += random.Of<std::string>({"\n", "\r\n", "\r"});
  }
  return text;
}

std::string JsonText(Random& random) {
  std::string text;
  for (std::size_t lines = random.Below(6); lines > 0; --lines) {
    text += random.Of<std::string>({"null", "10", "-0.0", "1e3", "\"é\\u00e9 😀\"", "[1, [2.5, true], {}]", "", "  ",
                                    R"({"a": 1, "b": [null], "a": "€"})", "123456789012345678901"});
    if (random.OneIn(20)) text += random.Of<std::string>({"NaN", "]", "\"\\ud800\""});
    if (lines > 1 || random.OneIn(2)) text += random.Of<std::string>({"\n", "\r\n"});
  }
  return text;
}

std::string SmtpLine(Random& random) {
  std::string line = random.Of<std::string>({
      "HELO a.example",
      "EHLO a.example",
      "EHLO",
      "MAIL FROM:<ann@example.org>",
      "MAIL FROM:<>",
      "MAIL FROM:<ann@example.org> SIZE=10 BODY=8BITMIME",
      "RCPT TO:<bob@example.org>",
      "RCPT TO:<postmaster>",
      "RCPT TO:<@>",
      "DATA",
      "DATA now",
      "text é€😀",
      "..stuffed",
      "broken\rline",
      ".",
      "RSET",
      "NOOP",
      "HELP",
      "VRFY ann",
      "STARTTLS",
      "nothing known",
  });
  return line + random.Of<std::string>({"", "\r\n", "\n"});
}

Commands SmtpCommands(Random& random) {
  Commands commands{CheckedCommand::Send(Value())};
  const auto send = [&](std::string line) { commands.push_back(CheckedCommand::Send(std::move(line))); };
  if (!random.OneIn(5)) send(random.OneIn(2) ? "HELO a.example" : "EHLO a.example");
  for (std::size_t left = random.Below(12); left > 0; --left) {
    if (random.OneIn(3)) {
      send("MAIL FROM:<ann@example.org>");
      send("RCPT TO:<bob@example.org>");
      send("DATA");
      send(SmtpLine(random));
      send(".");
    } else {
      send(SmtpLine(random));
    }
  }
  if (random.OneIn(2)) send("QUIT");
  Spoil(random, commands);
  return commands;
}

struct Sequence {
  Map arguments;
  Commands commands;
};

Sequence SequenceFor(std::string_view name, Random& random) {
  if (name == "averager") return {{}, SendEach(random, [&] { return random.Number(); })};
  if (name == "token_counter") return {{}, SendEach(random, [&] { return Value(random.Text(2)); })};
  if (name == "sliding_window") {
    return {{{"size", random.Of<int>({1, 2, 5, 1000})}}, SendEach(random, [&] { return random.Anything(); })};
  }
  if (name == "batch") {
    return {{{"size", random.Of<int>({1, 2, 5, 1000})}}, SendEach(random, [&] { return random.Anything(); })};
  }
  if (name == "select") {
    const auto a_map = [&] { return Value(Map{{"a", Map{{"b", random.Anything()}}}, {"b", random.Anything()}}); };
    return {{{"field", random.Of<std::string>({"a", "b", "a.b", "b.a"})}}, SendEach(random, a_map)};
  }
  if (name == "rolling_stats") {
    return {{{"window", random.Of<int>({0, 0, 1, 2, 7})}}, SendEach(random, [&] { return random.Number(); })};
  }
  if (name == "line_splitter") return {{{"keep_ends", random.OneIn(2)}}, Feed(random, random.Text(30))};
  if (name == "csv_parser") {
    const auto delimiter = random.Of<std::string>({",", ";", "é"});
    return {{{"delimiter", delimiter}, {"header", random.OneIn(2)}}, Feed(random, CsvText(random, delimiter))};
  }
  if (name == "json_lines") return {{}, Feed(random, JsonText(random))};
  if (name == "smtp_receiver") return {{{"hostname", "mx.example"}}, SmtpCommands(random)};
  ADD_FAILURE() << "there is no input for " << name;
  return {};
}

class RestartTest : public DrivingTest {};

TEST_F(RestartTest, AllBuiltinsButOneAreRestartable) {
  for (const Definition* definition : catalog_.ListAfter("", 1000)) {
    EXPECT_EQ(definition->restartable, definition->name != "pipeline") << definition->name;
  }
}

TEST_F(RestartTest, RestartedBuiltinsAnswerTheSame) {
  for (const Definition* definition : catalog_.ListAfter("", 1000)) {
    if (!definition->restartable) continue;
    std::size_t restarts = 0;
    for (int seed = 0; seed < kSequences; ++seed) {
      Random random(static_cast<std::uint64_t>(seed));
      const auto [arguments, commands] = SequenceFor(definition->name, random);
      const auto bound = definition->BindArguments(arguments);
      const auto& values = std::get<std::vector<Value>>(bound);
      const std::uint64_t restart_before = random.OneIn(3) ? ~std::uint64_t{0} : random.Bits();
      const RestartCheck check = CheckRestarts(*definition, values, commands, restart_before);
      restarts += check.restarts;
      ASSERT_FALSE(check.difference) << definition->name << ", seed " << seed << ", command "
                                     << check.difference->command << ": " << check.difference->what;
    }
    EXPECT_GT(restarts, 2u * kSequences) << definition->name;
  }
}

TEST_F(RestartTest, StatesThatAreNoneAreRefused) {
  for (const Definition* definition : catalog_.ListAfter("", 1000)) {
    if (!definition->restartable) continue;
    Random random(1);
    for (int i = 0; i < 300; ++i) {
      const auto bound = definition->BindArguments(SequenceFor(definition->name, random).arguments);
      List fields;
      for (std::size_t size = random.Below(9); size > 0; --size) fields.push_back(random.Anything());
      // Whatever it is, it is either refused or makes a coroutine that runs.
      auto made =
          definition->Restart(std::get<std::vector<Value>>(bound), random.OneIn(2) ? Value(fields) : random.Anything());
      if (auto* coroutine = std::get_if<Coroutine>(&made)) static_cast<void>(coroutine->Next());
    }
    const auto bound = definition->BindArguments(SequenceFor(definition->name, random).arguments);
    const auto made = definition->Restart(std::get<std::vector<Value>>(bound), "no state");
    ASSERT_TRUE(std::holds_alternative<Exception>(made)) << definition->name;
    EXPECT_EQ(std::get<Exception>(made).type(), "TypeError") << definition->name;
  }
}

// Bodies that do not keep to what Kept asks of them.

struct Count {
  std::int64_t n = 0;

  Value Save() const { return n; }
  static Count Load(const Value& saved) { return {saved.AsInteger()}; }
};

Coroutine Good(Kept<Count> count) {
  while (true) {
    Value sent = co_yield count->n;
    count->n += sent.AsInteger();
  }
}

Coroutine ForgetsALocal(Kept<Count> count) {
  std::int64_t more = 0;
  while (true) {
    Value sent = co_yield Value(List{count->n, more});
    more += sent.AsInteger();
  }
}

Coroutine ChangesBeforeItsFirstYield(Kept<Count> count) {
  while (true) {
    ++count->n;
    co_yield count->n;
  }
}

Coroutine WaitsAtTwoPlaces(Kept<Count> count) {
  while (true) {
    co_yield "first";
    co_yield "second";
    ++count->n;
  }
}

Coroutine ReturnsAtARestart(Kept<Count> count) {
  if (count->n > 0) co_return "done";
  co_yield count->n;
  ++count->n;
  co_yield count->n;
  co_return count->n;
}

Coroutine AsksTheTimeBeforeItsFirstYield(Kept<Count> count) {
  const std::int64_t began = StepTime().time_since_epoch().count();
  while (true) co_yield count->n + began;
}

Coroutine AsksTheTimeOfEachStep(Kept<Count> count) {
  while (true) {
    co_yield count->n;
    count->n = StepTime().time_since_epoch().count() + static_cast<std::int64_t>(RandomBelow(1000));
  }
}

struct LosesHalf : Count {
  static LosesHalf Load(const Value& saved) { return {saved.AsInteger() / 2}; }
};

Coroutine WithLosesHalf(Kept<LosesHalf> count) {
  while (true) count->n = (co_yield count->n).AsInteger();
}

struct Raises : Count {
  static Raises Load(const Value&) { throw py::KeyError("lost"); }
};

Coroutine WithRaises(Kept<Raises>) {
  while (true) co_yield nullptr;
}

struct Bytes {
  Value Save() const { return "\xff"; }
  static Bytes Load(const Value&) { return {}; }
};

Coroutine WithBytes(Kept<Bytes>) {
  while (true) co_yield nullptr;
}

template <typename F>
RestartCheck Check(F body, std::uint64_t restart_before = ~std::uint64_t{0}) {
  const Definition definition = Native("body", 1, body).StopsWhen("closed");
  const Commands commands{CheckedCommand::Send(Value()), CheckedCommand::Send(3), CheckedCommand::Send(4),
                          CheckedCommand::Close()};
  return CheckRestarts(definition, {}, commands, restart_before);
}

// "2: what differs", or empty.
std::string Found(const RestartCheck& check) {
  if (!check.difference) return {};
  return std::to_string(check.difference->command) + ": " + check.difference->what;
}

using RestartCheckTest = RestartTest;

TEST_F(RestartCheckTest, FindsNothingWhereNothingIsWrong) {
  const RestartCheck check = Check(&Good);
  EXPECT_THAT(Found(check), IsEmpty());
  EXPECT_EQ(check.restarts, 3u);
}

TEST_F(RestartCheckTest, RestartsOnlyWhereItIsTold) {
  EXPECT_EQ(Check(&Good, 0).restarts, 0u);
  EXPECT_EQ(Check(&Good, 0b100).restarts, 1u);
  EXPECT_THAT(Found(Check(&ForgetsALocal, 0)), IsEmpty());
}

TEST_F(RestartCheckTest, FindsALocalThatIsForgotten) {
  EXPECT_EQ(Found(Check(&ForgetsALocal)), "2: yields [0, 7] without a restart, yields [0, 4] with one");
}

TEST_F(RestartCheckTest, FindsAChangeBeforeTheFirstYield) {
  EXPECT_EQ(Found(Check(&ChangesBeforeItsFirstYield)), "1: keeps 1 before a restart, keeps 2 right after it");
}

TEST_F(RestartCheckTest, FindsAPlaceThatIsForgotten) {
  EXPECT_EQ(Found(Check(&WaitsAtTwoPlaces)), "2: yields 'first' without a restart, yields 'second' with one");
}

TEST_F(RestartCheckTest, FindsABodyThatDoesNotYieldAgain) {
  EXPECT_EQ(Found(Check(&ReturnsAtARestart)),
            "2: cannot be restarted with 1: RuntimeError('body version 1 returned before its first yield when it was "
            "restarted')");
}

TEST_F(RestartCheckTest, FindsABodyThatAsksTheTimeAtARestart) {
  EXPECT_EQ(Found(Check(&AsksTheTimeBeforeItsFirstYield)),
            "1: cannot be restarted with 0: RuntimeError('no step is running')");
}

TEST_F(RestartCheckTest, TimeAndRandomNumbersOfAStepAreTheSame) {
  EXPECT_THAT(Found(Check(&AsksTheTimeOfEachStep)), IsEmpty());
}

TEST_F(RestartCheckTest, FindsAStateThatIsNotWhatWasSaved) {
  EXPECT_EQ(Found(Check(&WithLosesHalf)), "2: keeps 3 before a restart, keeps 1 right after it");
}

TEST_F(RestartCheckTest, FindsALoadThatRaises) {
  EXPECT_EQ(Found(Check(&WithRaises)), "1: cannot be restarted with 0: KeyError('lost')");
}

TEST_F(RestartCheckTest, FindsAStateThatCannotBeStored) {
  EXPECT_THAT(Found(Check(&WithBytes)), StartsWith("1: keeps a text that is not UTF-8"));
}

}  // namespace
}  // namespace corod
