#ifndef COROD_SERVER_FLAGS_H_
#define COROD_SERVER_FLAGS_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "server/auth/json_web_token.h"
#include "server/journal/rocks_journal.h"
#include "server/log/log.h"
#include "server/session/sessions.h"

namespace corod {

// What corod is started with.
struct Flags {
  std::string listen = "127.0.0.1:7117";
  bool insecure = false;  // may be reached from other machines without TLS or without asking who calls
  struct Tls {
    std::string certificate;  // files; empty: none
    std::string key;
    std::string client_ca;
    bool requires_client = true;  // where client_ca is given, a client must show a certificate
    bool IsOn() const { return !certificate.empty(); }
  } tls;
  std::string identities;  // files; empty: none
  std::string jwks;
  std::string limits;
  TokenRules tokens;
  // What a connection may ask for.
  struct Connections {
    std::size_t max_message_bytes = std::size_t{64} << 20;
    std::size_t max_calls = 1'000;                    // at a time
    std::size_t max_memory = std::size_t{1} << 30;    // of all together, for what comes and goes
    absl::Duration min_ping = absl::Seconds(10);      // a client that pings more often is disconnected
    absl::Duration ping_after = absl::Minutes(2);     // of silence
    absl::Duration ping_timeout = absl::Seconds(20);  // without an answer
    absl::Duration max_age = absl::InfiniteDuration();
    absl::Duration max_age_grace = absl::Minutes(1);  // for calls, once a connection is too old
  } connections;
  absl::Duration drain_timeout = absl::Seconds(30);
  absl::Duration slow_reader_timeout = absl::Seconds(30);
  LogLevels log_levels = ParseLogLevels("info").value();
  LogFormat log_format = LogFormat::kText;
  std::string metrics;            // HOST:PORT; empty: nowhere
  bool insecure_metrics = false;  // may be reached from other machines; they are not encrypted
  enum class JournalKind : std::uint8_t { kRocksDb, kMemory } journal = JournalKind::kRocksDb;
  std::string data_dir = "corod-data";
  RocksJournal::Sync sync = RocksJournal::Sync::kAlways;
  std::vector<std::string> plugins;                      // files
  std::size_t max_script_memory = std::size_t{2} << 30;  // bytes
  Sessions::Options sessions;
};

// That the program is to end now: the text is for stdout if the status is 0, else for stderr.
struct FlagsExit {
  int status;
  std::string text;
};

// Reads the command line. A bad or unknown flag is one clear line and status 2; --help and --version are status 0.
std::variant<Flags, FlagsExit> ParseFlags(int argc, const char* const* argv);

}  // namespace corod

#endif  // COROD_SERVER_FLAGS_H_
