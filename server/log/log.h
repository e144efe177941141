#ifndef COROD_SERVER_LOG_LOG_H_
#define COROD_SERVER_LOG_LOG_H_

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// The log of the process: lines on stderr, each of an area that has a level of its own.
//
//   COROD_LOG(kSession, kWarning, "replay diverged", {{"session_id", id}, {"step", step}});
//
// A line whose level is off costs one relaxed load: the message and the fields are not evaluated. The message says what
// happened, always in the same words; what differs from line to line is in fields. Thread-safe.
#define COROD_LOG(area, level, ...)                                                       \
  (::corod::LogIsOn(::corod::LogArea::area, ::corod::LogLevel::level)                     \
       ? ::corod::WriteLog(::corod::LogArea::area, ::corod::LogLevel::level, __VA_ARGS__) \
       : static_cast<void>(0))

namespace corod {

// What a line is about: the process and its flags, gRPC, sessions and their definitions, what is kept on the disk, who
// may do what, and what was done by whoever runs the server.
enum class LogArea : std::uint8_t { kServer, kRpc, kSession, kJournal, kAuth, kAudit };
inline constexpr std::size_t kLogAreas = 6;
enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat : std::uint8_t { kText, kJson };

// server, rpc, session, journal, auth, audit.
std::string_view NameOf(LogArea area);
// trace, debug, info, warning, error, off.
std::string_view NameOf(LogLevel level);

// Of each area, in their order.
using LogLevels = std::array<LogLevel, kLogAreas>;

// "info", "debug,rpc=off" or "info,journal=debug": a level for all areas (info, if there is none) and levels for some.
// kInvalidArgument, in one line: there is no such level or area, or one is named twice.
absl::StatusOr<LogLevels> ParseLogLevels(std::string_view text);
// "text" or "json"; else kInvalidArgument, in one line.
absl::StatusOr<LogFormat> ParseLogFormat(std::string_view text);

// Where the log goes from now on, and how. Text: the time, the level, the area, the message, and the fields as
// key=value, quoted as in JSON where need be. JSON: an object a line, with `time` (RFC 3339, UTC), `level`, `area`,
// `message`, and the fields. `stream`: in place of stderr; must stay until the next call. Until the first call: text,
// levels of info.
void SetUpLog(const LogLevels& levels, LogFormat format, std::ostream* stream = nullptr);

// How much each area logs now.
LogLevels GetLogLevels();
void SetLogLevel(LogArea area, LogLevel level);
// For whoever has names. An empty area: all of them. INVALID_ARGUMENTS: there is no such area or level.
absl::Status SetLogLevel(std::string_view area, std::string_view level);

namespace log_internal {
inline constinit std::array<std::atomic<LogLevel>, kLogAreas> levels{LogLevel::kInfo, LogLevel::kInfo, LogLevel::kInfo,
                                                                     LogLevel::kInfo, LogLevel::kInfo, LogLevel::kInfo};
}  // namespace log_internal

// Whether lines of this area and level are written.
inline bool LogIsOn(LogArea area, LogLevel level) {
  return level >= log_internal::levels[static_cast<std::size_t>(area)].load(std::memory_order_relaxed);
}

// The name of a field: small letters, digits and underscores. A literal, so that no line has a field twice by what a
// client sends, or one that is called as what every line has.
class LogKey {
 public:
  consteval LogKey(const char* key) : key_(key) {  // NOLINT(google-explicit-constructor)
    if (key_.empty() || key_ == "time" || key_ == "level" || key_ == "area" || key_ == "message") throw "no such field";
    for (const char c : key_) {
      if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') throw "no such field";
    }
  }
  std::string_view text() const { return key_; }

 private:
  std::string_view key_;
};

// Texts are referred to, for as long as the line is being written. They may hold any bytes; what is not UTF-8 is
// replaced.
class LogValue {
 public:
  // NOLINTBEGIN(google-explicit-constructor)
  LogValue(std::string_view text) : value_(text) {}
  LogValue(absl::string_view text) : value_(std::string_view(text.data(), text.size())) {}
  LogValue(const std::string& text) : value_(std::string_view(text)) {}
  LogValue(const char* text) : value_(std::string_view(text)) {}
  LogValue(bool truth) : value_(truth) {}
  template <std::signed_integral Number>
  LogValue(Number number) : value_(std::int64_t{number}) {}
  template <std::unsigned_integral Number>
  LogValue(Number number) : value_(std::uint64_t{number}) {}
  LogValue(double number) : value_(number) {}
  // Its code and its message.
  LogValue(const absl::Status& status);
  // NOLINTEND(google-explicit-constructor)

  void AppendText(std::string& line) const;
  void AppendJson(std::string& line) const;

 private:
  std::variant<std::string_view, std::string, std::int64_t, std::uint64_t, double, bool> value_;
};

struct LogField {
  LogKey key;
  LogValue value;
};

// What COROD_LOG calls if the level is on.
void WriteLog(LogArea area, LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace corod

#endif  // COROD_SERVER_LOG_LOG_H_
