#include "server/log/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/base/failure.h"
#include "server/base/mutex.h"

namespace corod {
namespace {

constexpr std::array<std::string_view, kLogAreas> kAreaNames = {"server", "rpc", "session", "journal", "auth", "audit"};
constexpr std::array<std::string_view, 6> kLevelNames = {"trace", "debug", "info", "warning", "error", "off"};
constexpr absl::string_view kAreasInWords = "server, rpc, session, journal, auth or audit";
constexpr absl::string_view kLevelsInWords = "trace, debug, info, warning, error or off";

// %n is the area.
constexpr char kTextPattern[] = "%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %n: %v";
constexpr char kJsonPattern[] = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","area":"%n",%v})";

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::optional<LogArea> AreaOf(std::string_view name) {
  const auto found = std::find(kAreaNames.begin(), kAreaNames.end(), name);
  if (found == kAreaNames.end()) return std::nullopt;
  return static_cast<LogArea>(found - kAreaNames.begin());
}

std::optional<LogLevel> LevelOf(std::string_view name) {
  const auto found = std::find(kLevelNames.begin(), kLevelNames.end(), name);
  if (found == kLevelNames.end()) return std::nullopt;
  return static_cast<LogLevel>(found - kLevelNames.begin());
}

std::string NoArea(std::string_view name) {
  return absl::StrCat("there is no log area '", View(name), "'; name ", kAreasInWords);
}

std::string NoLevel(std::string_view name) {
  return absl::StrCat("there is no log level '", View(name), "'; name ", kLevelsInWords);
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

// Where the lines go. The loggers write whatever they get: who calls them has looked at the level.
struct Output {
  Output(LogFormat chosen, std::ostream* stream) : format(chosen) {
    spdlog::sink_ptr sink;
    if (stream) {
      sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(*stream, /*force_flush=*/true);
    } else {
      sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    }
    sink->set_formatter(format == LogFormat::kJson
                            ? std::make_unique<spdlog::pattern_formatter>(kJsonPattern, spdlog::pattern_time_type::utc)
                            : std::make_unique<spdlog::pattern_formatter>(kTextPattern));
    for (std::size_t i = 0; i < kLogAreas; ++i) {
      loggers[i] = std::make_unique<spdlog::logger>(std::string(kAreaNames[i]), sink);
      loggers[i]->set_level(spdlog::level::trace);
    }
  }

  const LogFormat format;
  std::array<std::unique_ptr<spdlog::logger>, kLogAreas> loggers;
};

class CurrentOutput {
 public:
  std::shared_ptr<const Output> Get() {
    const MutexLock lock(mutex_);
    if (!output_) output_ = std::make_shared<const Output>(LogFormat::kText, nullptr);
    return output_;
  }
  void Set(std::shared_ptr<const Output> output) {
    const MutexLock lock(mutex_);
    output_ = std::move(output);
  }

 private:
  Mutex mutex_;
  std::shared_ptr<const Output> output_ ABSL_GUARDED_BY(mutex_);
};

// Never destroyed: threads may log while the process ends.
CurrentOutput& TheOutput() {
  static CurrentOutput& output = *new CurrentOutput;
  return output;
}

std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(/*indent=*/-1, /*indent_char=*/' ', /*ensure_ascii=*/false,
                                   nlohmann::json::error_handler_t::replace);
}

// Beyond ASCII it may not be UTF-8.
bool IsAsciiWithoutControls(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

void AppendTextValue(std::string_view text, std::string& line) {
  const bool is_plain =
      !text.empty() && IsAsciiWithoutControls(text) && text.find_first_of(" \"=\\") == std::string_view::npos;
  if (is_plain) {
    line += text;
  } else {
    line += Quoted(text);
  }
}

// In one line, whatever it holds.
void AppendMessage(std::string_view message, std::string& line) {
  if (IsAsciiWithoutControls(message)) {
    line += message;
  } else {
    const std::string quoted = Quoted(message);
    line.append(quoted, 1, quoted.size() - 2);
  }
}

}  // namespace

std::string_view NameOf(LogArea area) { return kAreaNames[static_cast<std::size_t>(area)]; }
std::string_view NameOf(LogLevel level) { return kLevelNames[static_cast<std::size_t>(level)]; }

absl::StatusOr<LogLevels> ParseLogLevels(std::string_view text) {
  std::optional<LogLevel> of_all;
  std::array<std::optional<LogLevel>, kLogAreas> of_area;
  for (const absl::string_view part : absl::StrSplit(View(text), ',')) {
    const std::string_view setting(part.data(), part.size());
    const std::size_t equals = setting.find('=');
    const std::string_view level_name = equals == std::string_view::npos ? setting : setting.substr(equals + 1);
    const std::optional<LogLevel> level = LevelOf(level_name);
    std::optional<LogLevel>* place = &of_all;
    if (equals != std::string_view::npos) {
      const std::optional<LogArea> area = AreaOf(setting.substr(0, equals));
      if (!area) return absl::InvalidArgumentError(NoArea(setting.substr(0, equals)));
      place = &of_area[static_cast<std::size_t>(*area)];
    }
    if (!level) return absl::InvalidArgumentError(NoLevel(level_name));
    if (*place) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", View(text), "' names two levels ",
                       equals == std::string_view::npos ? "for all areas" : "for one area", "; name one"));
    }
    *place = level;
  }
  LogLevels levels;
  for (std::size_t i = 0; i < kLogAreas; ++i) levels[i] = of_area[i].value_or(of_all.value_or(LogLevel::kInfo));
  return levels;
}

absl::StatusOr<LogFormat> ParseLogFormat(std::string_view text) {
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return absl::InvalidArgumentError(absl::StrCat("there is no log format '", View(text), "'; name text or json"));
}

void SetUpLog(const LogLevels& levels, LogFormat format, std::ostream* stream) {
  TheOutput().Set(std::make_shared<const Output>(format, stream));
  for (std::size_t i = 0; i < kLogAreas; ++i) SetLogLevel(static_cast<LogArea>(i), levels[i]);
}

LogLevels GetLogLevels() {
  LogLevels levels;
  for (std::size_t i = 0; i < kLogAreas; ++i) levels[i] = log_internal::levels[i].load(std::memory_order_relaxed);
  return levels;
}

void SetLogLevel(LogArea area, LogLevel level) {
  log_internal::levels[static_cast<std::size_t>(area)].store(level, std::memory_order_relaxed);
}

absl::Status SetLogLevel(std::string_view area, std::string_view level) {
  const std::optional<LogLevel> found_level = LevelOf(level);
  if (!found_level) return Failed(Reason::INVALID_ARGUMENTS, NoLevel(level), {{"parameter", "level"}});
  if (area.empty()) {
    for (std::size_t i = 0; i < kLogAreas; ++i) SetLogLevel(static_cast<LogArea>(i), *found_level);
    return absl::OkStatus();
  }
  const std::optional<LogArea> found_area = AreaOf(area);
  if (!found_area) return Failed(Reason::INVALID_ARGUMENTS, NoArea(area), {{"parameter", "area"}});
  SetLogLevel(*found_area, *found_level);
  return absl::OkStatus();
}

LogValue::LogValue(const absl::Status& status)
    : value_(absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message())) {}

void LogValue::AppendText(std::string& line) const {
  if (const auto* text = std::get_if<std::string_view>(&value_)) {
    AppendTextValue(*text, line);
  } else if (const auto* own = std::get_if<std::string>(&value_)) {
    AppendTextValue(*own, line);
  } else {
    AppendJson(line);
  }
}

void LogValue::AppendJson(std::string& line) const {
  std::visit(
      [&line]<typename T>(const T& value) {
        if constexpr (std::is_convertible_v<T, std::string_view>) {
          line += Quoted(value);
        } else {
          line += nlohmann::json(value).dump();  // what is no number is null
        }
      },
      value_);
}

void WriteLog(LogArea area, LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  const std::shared_ptr<const Output> output = TheOutput().Get();
  std::string line;
  if (output->format == LogFormat::kJson) {
    line += "\"message\":";
    line += Quoted(message);
    for (const LogField& field : fields) {
      absl::StrAppend(&line, ",\"", View(field.key.text()), "\":");
      field.value.AppendJson(line);
    }
  } else {
    AppendMessage(message, line);
    for (const LogField& field : fields) {
      absl::StrAppend(&line, " ", View(field.key.text()), "=");
      field.value.AppendText(line);
    }
  }
  output->loggers[static_cast<std::size_t>(area)]->log(ToSpdlog(level),
                                                       spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace corod
