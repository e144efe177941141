#include "server/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <string>

#include "absl/time/time.h"

namespace corod {
namespace {

// "10m", "90s", "1h30m"; "0" is never. An empty result is fine, else it says what is wrong.
std::string ReadDuration(const std::string& text, absl::Duration& duration) {
  absl::Duration parsed;
  if (!absl::ParseDuration(text, &parsed) || parsed < absl::ZeroDuration()) {
    return "'" + text + "' is not a duration; write 90s, 10m or 1h30m";
  }
  duration = parsed;
  return "";
}

std::string CheckListen(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 &&
                      std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (colon == 0 || !digits || std::stoi(port) > 65535) {
    return "'" + address + "' is not an address; write HOST:PORT, 127.0.0.1:7117 say (port 0: any that is free)";
  }
  return "";
}

}  // namespace

std::variant<Flags, FlagsExit> ParseFlags(int argc, const char* const* argv) {
  Flags flags;
  std::string journal = "memory";
  std::string data_dir;
  CLI::App app("corod keeps one live coroutine per session id and lets any gRPC client drive it.", "corod");
  app.set_version_flag("--version", "corod " COROD_VERSION);
  app.add_option("--listen", flags.listen, "Address to listen on, HOST:PORT")
      ->capture_default_str()
      ->check(CheckListen);
  app.add_option("--journal", journal, "Where durable sessions are kept: memory (nowhere: every session is ephemeral)")
      ->capture_default_str()
      ->check(CLI::IsMember({"memory"}));
  app.add_option("--data-dir", data_dir, "Directory of the journal; --journal memory writes nothing there")
      ->check([](const std::string& path) {
        std::error_code error;
        return std::filesystem::exists(path, error) && !std::filesystem::is_directory(path, error)
                   ? "'" + path + "' is not a directory"
                   : std::string();
      });
  app.add_option("--max-sessions", flags.sessions.max_sessions,
                 "How many sessions there may be, finished ones that are still kept included")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000'000}));
  const auto add_duration = [&app](const char* name, absl::Duration& duration, const char* what) {
    app.add_option_function<std::string>(
           name, [&duration](const std::string& text) { ReadDuration(text, duration); }, what)
        ->check([](const std::string& text) {
          absl::Duration ignored;
          return ReadDuration(text, ignored);
        })
        ->default_str(absl::FormatDuration(duration));
  };
  add_duration("--idle-timeout", flags.sessions.idle_timeout,
               "Sessions that name no idle timeout are closed after this long without a command; 0: never");
  add_duration("--retention", flags.sessions.retention, "Finished sessions are kept for this long");
  app.add_option("--log-level", flags.log_level, "trace, debug, info, warning, error or off")
      ->capture_default_str()
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    if (asked.get_name() == "CallForHelp") return FlagsExit{0, app.help()};
    return FlagsExit{0, std::string(asked.what()) + "\n"};
  } catch (const CLI::Error& error) {
    std::string line = error.what();
    std::replace(line.begin(), line.end(), '\n', ' ');
    return FlagsExit{2, "corod: " + line + " (corod --help shows the flags)\n"};
  }
  if (flags.sessions.idle_timeout == absl::ZeroDuration()) flags.sessions.idle_timeout = absl::InfiniteDuration();
  return flags;
}

}  // namespace corod
