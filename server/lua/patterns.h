#ifndef COROD_SERVER_LUA_PATTERNS_H_
#define COROD_SERVER_LUA_PATTERNS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// Lua's patterns (section 6.4.1 of its manual) over bytes. The classes are those of ASCII, whatever the locale.
namespace corod::lua {

// Whoever asks for a match. Both functions may throw.
class MatchHost {
 public:
  // So many steps are taken, each of about an instruction's work. A match takes a few hundred between two calls.
  virtual void Spend(std::uint64_t steps) = 0;
  // The pattern is malformed or too complex. Does not return.
  [[noreturn]] virtual void Fail(const std::string& message) = 0;

 protected:
  ~MatchHost() = default;
};

// Looks for one pattern in one text; both outlive it, and so does the host. As in Lua, what is wrong with a pattern is
// noticed when a match comes to it.
class Matcher {
 public:
  static constexpr std::size_t kNowhere = std::string_view::npos;
  static constexpr int kMaxCaptures = 32;

  // What a capture holds: a part of the text or, if `position` is not 0, a place in it, counted from 1.
  struct Captured {
    std::string_view text = {};
    std::size_t position = 0;
  };

  Matcher(std::string_view text, std::string_view pattern, MatchHost& host)
      : text_(text), pattern_(pattern), host_(host) {}

  // Finds the first match at `from` or behind it (`only_there`: at `from` alone) that does not end at `barred`. The
  // rest of this class is about that match.
  bool Find(std::size_t from, bool only_there = false, std::size_t barred = kNowhere);

  std::size_t start() const { return start_; }
  std::size_t end() const { return end_; }
  std::string_view match() const { return text_.substr(start_, end_ - start_); }

  // How many captures the pattern has.
  int captures() const { return captures_; }
  // A capture, the first being 0; that is the whole match if the pattern has none. Fails if there is no such capture.
  Captured Capture(int index) const;

 private:
  // A part of the text. Its length is kOpen while its end is not known, and kPosition if it is a place.
  struct Range {
    std::size_t start;
    std::size_t length;
  };
  static constexpr std::size_t kOpen = kNowhere;
  static constexpr std::size_t kPosition = kNowhere - 1;
  static constexpr std::uint64_t kUnpaidSteps = 256;

  // Each matches the pattern from `item` on against the text from `at` on, and returns where in the text the match ends
  // or kNowhere. `after` is where a single-character item ends: at its quantifier, if it has one.
  std::size_t Match(std::size_t at, std::size_t item);
  std::size_t MatchItems(std::size_t at, std::size_t item);
  std::size_t OpenCapture(std::size_t at, std::size_t item, std::size_t length);
  std::size_t CloseCapture(std::size_t at, std::size_t item);
  std::size_t MatchLongest(std::size_t at, std::size_t item, std::size_t after);
  std::size_t MatchShortest(std::size_t at, std::size_t item, std::size_t after);

  // Each returns where in the text the item ends that matches at `at`, or kNowhere.
  std::size_t SkipBalanced(std::size_t at, std::size_t delimiters);
  std::size_t SkipRepeated(std::size_t at, unsigned char digit);

  // A frontier: the set at `set` holds the character at `at`, but not the one before.
  bool AtFrontier(std::size_t at, std::size_t set, std::size_t after);
  bool MatchesOne(std::size_t at, std::size_t item, std::size_t after);
  // `last`: the set's bracket.
  bool InSet(unsigned char c, std::size_t set, std::size_t last);
  std::size_t EndOfItem(std::size_t item);

  // A character of the pattern, of the text; zero at its end.
  unsigned char PatternAt(std::size_t i) const;
  unsigned char TextAt(std::size_t i) const;

  void Step(std::uint64_t steps = 1) {
    unpaid_ += steps;
    if (unpaid_ >= kUnpaidSteps) Pay();
  }
  void Pay();
  [[noreturn]] void Fail(const std::string& message);

  const std::string_view text_;
  const std::string_view pattern_;
  MatchHost& host_;
  std::uint64_t unpaid_ = 0;
  int depth_ = 0;
  int captures_ = 0;
  std::size_t start_ = 0;
  std::size_t end_ = 0;
  std::array<Range, kMaxCaptures> ranges_;  // the first captures_
};

// Where `part` is first in `text`, from `from` on; kNowhere if it is not. Takes time in proportion to what it looks at.
std::size_t FindPlain(std::string_view text, std::string_view part, std::size_t from, MatchHost& host);

// The pattern matches itself alone.
bool IsPlain(std::string_view pattern);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_PATTERNS_H_
