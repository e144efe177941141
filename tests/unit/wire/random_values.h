#ifndef COROD_TESTS_UNIT_WIRE_RANDOM_VALUES_H_
#define COROD_TESTS_UNIT_WIRE_RANDOM_VALUES_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "server/coroutine/exception.h"
#include "server/coroutine/map.h"
#include "server/coroutine/value.h"

namespace corod {

// Makes values of every kind, the same ones for the same seed.
class RandomValues {
 public:
  explicit RandomValues(std::uint64_t seed) : random_(seed) {}

  // Nests at most `depth` deep.
  Value Next(int depth) {
    switch (Below(depth > 0 ? 10 : 7)) {
      case 0:
        return {};
      case 1:
        return Below(2) == 0;
      case 2:
        return static_cast<std::int64_t>(random_() >> Below(64)) * (Below(2) == 0 ? 1 : -1);
      case 3:
        return static_cast<double>(static_cast<std::int64_t>(random_())) / 1e6;
      case 4:
        return Text();
      case 5:
        return Value::Blob(Bytes());
      case 6:
        return Message{Text(), Bytes()};
      case 7: {
        List list;
        for (std::uint64_t left = Below(5); left > 0; --left) list.push_back(Next(depth - 1));
        return list;
      }
      case 8: {
        Map map;
        for (std::uint64_t left = Below(5); left > 0; --left) map[Text()] = Next(depth - 1);
        return map;
      }
      default:
        return NextException(depth - 1);
    }
  }

  // `depth`: of its arguments, and how long its chain is at most.
  Exception NextException(int depth) {
    static const char* const kTypes[] = {"ValueError", "KeyError", "GeneratorExit", "app.Failure"};
    List arguments;
    for (std::uint64_t left = Below(3); left > 0; --left) arguments.push_back(Next(depth));
    Exception exception(kTypes[Below(4)], std::move(arguments), Texts());
    exception.SetMessage("m" + Text());  // an empty message would stand for that of the arguments
    for (const std::string& note : Texts()) exception.AddNote(note);
    exception.SetTraceback(Text());
    if (depth > 0 && Below(2) == 0) exception.SetCause(NextException(depth - 1));
    if (exception.cause() && Below(2) == 0) {
      exception.SetContext(*exception.cause());
    } else if (depth > 0 && Below(2) == 0) {
      exception.SetContext(NextException(depth - 1));
    }
    exception.SetSuppressContext(Below(2) == 0);
    return exception;
  }

 private:
  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }

  std::string Text() {
    static const char* const kParts[] = {"", "a", "text", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\n"};
    std::string text;
    for (std::uint64_t left = Below(4); left > 0; --left) text += kParts[Below(7)];
    if (Below(20) == 0) text += std::string(Below(400), 'x');
    return text;
  }
  std::string Bytes() {
    std::string bytes(Below(10), '\0');
    for (char& byte : bytes) byte = static_cast<char>(Below(256));
    return bytes;
  }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts(Below(3));
    for (std::string& text : texts) text = Text();
    return texts;
  }

  std::mt19937_64 random_;
};

}  // namespace corod

#endif  // COROD_TESTS_UNIT_WIRE_RANDOM_VALUES_H_
