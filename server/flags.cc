#include "server/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/maintenance/commands.h"

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
  // Whoever comes over a Unix socket counts as the server's owner, so that only its own may be one.
  const bool is_socket = address.starts_with("unix:") || address.starts_with("unix-abstract:");
  if (colon == 0 || is_socket || !digits || std::stoi(port) > 65535) {
    return "'" + address + "' is not an address; write HOST:PORT, 127.0.0.1:7117 say (port 0: any that is free)";
  }
  return "";
}

}  // namespace

std::variant<Flags, FlagsExit> ParseFlags(int argc, const char* const* argv) {
  Flags flags;
  CLI::App app("corod keeps one live coroutine per session id and lets any gRPC client drive it.", "corod");
  app.footer(maintenance::kCommandsHelp);
  app.set_version_flag("--version", "corod " COROD_VERSION);
  const auto add_choice = [&app]<typename T>(const char* name, T& choice, const std::map<std::string, T>& choices,
                                             const char* what) {
    std::vector<std::string> names;
    std::string chosen;
    for (const auto& [text, value] : choices) {
      names.push_back(text);
      if (value == choice) chosen = text;
    }
    app.add_option_function<std::string>(
           name, [&choice, choices](const std::string& text) { choice = choices.at(text); }, what)
        ->check(CLI::IsMember(names))
        ->default_str(chosen);
  };
  app.add_option("--listen", flags.listen, "Address to listen on, HOST:PORT")
      ->capture_default_str()
      ->check(CheckListen);
  app.add_flag("--insecure", flags.insecure,
               "Listen where other machines reach it without TLS, or without asking who calls: whoever can connect may "
               "then do, or read, everything");
  const auto add_file = [&app](const char* name, std::string& file, const char* what) {
    return app.add_option(name, file, what)->type_name("FILE")->check([](const std::string& path) {
      std::error_code error;
      return std::filesystem::is_regular_file(path, error) ? std::string() : "there is no file '" + path + "'";
    });
  };
  CLI::Option* const certificate =
      add_file("--tls-cert", flags.tls.certificate, "Certificate of the server, PEM; read again when it changes");
  CLI::Option* const key = add_file("--tls-key", flags.tls.key, "Its private key, PEM; read again when it changes");
  certificate->needs(key);
  key->needs(certificate);
  CLI::Option* const client_ca =
      add_file("--tls-client-ca", flags.tls.client_ca, "Roots of clients' certificates, PEM: mutual TLS")
          ->needs(certificate);
  app.add_option_function<std::string>(
         "--tls-client-auth", [&flags](const std::string& text) { flags.tls.requires_client = text == "require"; },
         "Whether clients must show a certificate (require), or may instead send a token (optional)")
      ->check(CLI::IsMember({"require", "optional"}))
      ->default_str("require")
      ->needs(client_ca);
  add_file("--identities", flags.identities, "Who may call, by token or certificate; read again when it changes");
  add_file("--limits", flags.limits, "What namespaces may have and do; read again when it changes");
  CLI::Option* const jwks =
      add_file("--jwks", flags.jwks, "Keys of whoever issues JSON Web Tokens (RFC 7517); read again when it changes");
  CLI::Option* const issuer = app.add_option("--jwt-issuer", flags.tokens.issuer, "What such a token's iss must be");
  CLI::Option* const audience =
      app.add_option("--jwt-audience", flags.tokens.audience, "What such a token's aud must name");
  jwks->needs(issuer)->needs(audience);
  issuer->needs(jwks);
  audience->needs(jwks);
  app.add_option("--jwt-namespace-claim", flags.tokens.namespace_claim, "Its claim that names the caller's namespace")
      ->capture_default_str()
      ->needs(jwks);
  app.add_option("--jwt-role-claim", flags.tokens.role_claim, "Its claim that names the caller's role")
      ->capture_default_str()
      ->needs(jwks);
  add_choice(
      "--journal", flags.journal, {{"rocksdb", Flags::JournalKind::kRocksDb}, {"memory", Flags::JournalKind::kMemory}},
      "Where durable sessions are kept: rocksdb (in --data-dir) or memory (nowhere: every session is ephemeral)");
  app.add_option("--data-dir", flags.data_dir, "Directory of the journal; --journal memory writes nothing there")
      ->capture_default_str()
      ->check([](const std::string& path) {
        std::error_code error;
        return std::filesystem::exists(path, error) && !std::filesystem::is_directory(path, error)
                   ? "'" + path + "' is not a directory"
                   : std::string();
      });
  add_choice("--sync", flags.sync,
             {{"always", RocksJournal::Sync::kAlways},
              {"interval", RocksJournal::Sync::kInterval},
              {"never", RocksJournal::Sync::kNever}},
             "When an answer is given: always (its command is on the disk), interval (it will be within 100 ms), never "
             "(the system writes it when it likes); only a loss of power tells them apart");
  app.add_option("--plugin", flags.plugins, "Library with coroutines of your own; may be given several times")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--max-sessions", flags.sessions.max_sessions,
                 "How many sessions there may be, finished ones that are still kept included")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000'000}));
  app.add_option("--max-script-memory", flags.max_script_memory,
                 "Bytes that coroutines written in Lua may hold; with more than that their steps are refused")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->default_str("2GiB");
  const auto add_duration = [&app](const char* name, absl::Duration& duration, const char* what) {
    app.add_option_function<std::string>(
           name, [&duration](const std::string& text) { ReadDuration(text, duration); }, what)
        ->check([](const std::string& text) {
          absl::Duration ignored;
          return ReadDuration(text, ignored);
        })
        ->default_str(duration == absl::InfiniteDuration() ? "0" : absl::FormatDuration(duration));
  };
  add_duration("--idle-timeout", flags.sessions.idle_timeout,
               "Ephemeral sessions that name no idle timeout are closed after this long without a command; 0: never");
  add_duration("--durable-idle-timeout", flags.sessions.durable_idle_timeout,
               "The same for durable sessions; 0: never");
  add_duration("--passivate-after", flags.sessions.durability.passivate_after,
               "Durable sessions leave memory after this long without a command; 0: never");
  app.add_option("--max-live-sessions", flags.sessions.durability.max_live_sessions,
                 "How many durable sessions are in memory; what was used longest ago makes room")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000'000}));
  app.add_option("--checkpoint-every", flags.sessions.durability.checkpoint_every,
                 "Steps from one checkpoint of a restartable coroutine to the next")
      ->capture_default_str()
      ->check(CLI::Range(Step{1}, Step{1'000'000'000}));
  app.add_option_function<std::string>(
         "--history",
         [&flags](const std::string& text) {
           flags.sessions.durability.history = text == "all" ? DurabilityOptions::kAllHistory : std::stoull(text);
         },
         "Steps of a restartable coroutine that can be watched, forked from and looked at; all: every one")
      ->check([](const std::string& text) {
        const bool number =
            !text.empty() && text.size() <= 18 && text.find_first_not_of("0123456789") == std::string::npos;
        return number || text == "all" ? std::string() : "'" + text + "' is neither a number of steps nor all";
      })
      ->default_str(std::to_string(flags.sessions.durability.history));
  app.add_option("--history-limit", flags.sessions.durability.history_limit,
                 "Steps that a durable session may have whose coroutine is not restartable")
      ->capture_default_str()
      ->check(CLI::Range(Step{1}, Step{1'000'000'000'000}));
  app.add_option("--max-message-bytes", flags.connections.max_message_bytes, "Bytes that a message may have")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->default_str("64MiB")
      ->check(CLI::Range(std::size_t{4096}, std::size_t{1} << 30));
  app.add_option("--max-connection-calls", flags.connections.max_calls, "Calls and streams of one connection at a time")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}));
  app.add_option("--max-connection-memory", flags.connections.max_memory,
                 "Bytes that gRPC may take for all connections' calls and messages; it breaks calls off beyond that")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->default_str("1GiB")
      ->check(CLI::Range(std::size_t{16} << 20, std::size_t{1} << 40));
  add_duration(
      "--max-queue-delay", flags.sessions.max_queue_delay,
      "Unary calls are refused with OVERLOADED when what they need a thread or the disk for would wait longer; 0: "
      "none is");
  add_duration("--min-ping-interval", flags.connections.min_ping,
               "Connections whose client pings more often than this are closed");
  add_duration("--ping-after", flags.connections.ping_after, "The server pings a client that is silent for this long");
  add_duration("--ping-timeout", flags.connections.ping_timeout,
               "Connections that do not answer a ping within this time are closed");
  add_duration("--max-connection-age", flags.connections.max_age,
               "Connections are asked to go after this long, so that clients spread over servers; 0: never");
  add_duration("--max-connection-age-grace", flags.connections.max_age_grace,
               "How long calls of such a connection may still take");
  add_duration("--slow-reader-timeout", flags.slow_reader_timeout,
               "Streams whose client reads nothing of what it is sent for this long are ended");
  add_duration("--drain-timeout", flags.drain_timeout,
               "How long steps that are running may still take when the server is asked to end");
  add_duration("--retention", flags.sessions.retention, "Finished sessions are kept for this long");
  app.add_option_function<std::string>(
         "--log-level", [&flags](const std::string& text) { flags.log_levels = ParseLogLevels(text).value(); },
         "trace, debug, info, warning, error or off; also of an area: info,journal=debug (areas: server, rpc, session, "
         "journal, auth, audit)")
      ->check([](const std::string& text) { return std::string(ParseLogLevels(text).status().message()); })
      ->default_str("info");
  add_choice("--log-format", flags.log_format, {{"text", LogFormat::kText}, {"json", LogFormat::kJson}},
             "How lines of the log look; json: an object a line");
  app.add_option("--metrics", flags.metrics, "Address to serve metrics for Prometheus on, HOST:PORT; not encrypted")
      ->check(CheckListen);
  app.add_flag("--insecure-metrics", flags.insecure_metrics,
               "Other machines may reach --metrics and read it; it names every namespace");
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
  for (absl::Duration* never :
       {&flags.sessions.idle_timeout, &flags.sessions.durable_idle_timeout, &flags.sessions.durability.passivate_after,
        &flags.connections.max_age, &flags.slow_reader_timeout}) {
    if (*never == absl::ZeroDuration()) *never = absl::InfiniteDuration();
  }
  return flags;
}

}  // namespace corod
