#ifndef COROD_SERVER_FLAGS_H_
#define COROD_SERVER_FLAGS_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "server/journal/rocks_journal.h"
#include "server/session/sessions.h"

namespace corod {

// What corod is started with.
struct Flags {
  std::string listen = "127.0.0.1:7117";
  std::string log_level = "info";
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
