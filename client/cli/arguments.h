#ifndef COROD_CLIENT_CLI_ARGUMENTS_H_
#define COROD_CLIENT_CLI_ARGUMENTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/event_form.h"
#include "client/cpp/security.h"
#include "corod/v1/session.pb.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/map.h"
#include "server/coroutine/value.h"

// What the command line asks for, as plain values: checked as far as this can be done without the server.
namespace corod::cli {

enum class Format : std::uint8_t { kText, kJson };

struct GlobalArguments {
  std::string server;  // host:port
  client::SecurityOptions security;
  Format format = Format::kText;
  absl::Duration timeout;  // infinite: none
};

// What create and pipe ask of Create.
struct CreateArguments {
  std::string coroutine;
  Map arguments;
  std::string session_id;
  bool prime = false;
  std::map<std::string, std::string> labels;
  std::optional<absl::Duration> idle_timeout;
  v1::IfExists if_exists = v1::IF_EXISTS_UNSPECIFIED;
  v1::Durability durability = v1::DURABILITY_UNSPECIFIED;
  std::uint32_t version = 0;
  std::string request_id;
};

// What send, next and throw have in common; close has no `quiet`.
struct StepArguments {
  std::string session_id;
  std::uint64_t expected_step = 0;
  std::string request_id;
  bool quiet = false;
};

struct SendArguments {  // next too
  StepArguments step;
  Value value;
};

struct ThrowArguments {
  StepArguments step;
  Exception exception;
};

struct CloseArguments {
  StepArguments step;
  bool force = false;
};

struct DeleteArguments {
  std::string session_id;
  std::string uid;
  bool force = false;
  std::string request_id;
};

struct GetArguments {
  std::string session_id;
  std::optional<std::uint64_t> at_step;
};

struct ListArguments {
  std::string coroutine;
  v1::State state = v1::STATE_UNSPECIFIED;
  std::map<std::string, std::string> labels;
  std::uint64_t limit = 0;  // 0: none
  bool has_problem = false;
};

struct WatchArguments {  // history too
  enum class Kind : std::uint8_t { kWatch, kHistory };

  Kind kind = Kind::kWatch;
  std::string session_id;
  std::optional<std::uint64_t> from;
  std::optional<std::uint64_t> to;
  Times times = Times::kHidden;
};

struct ForkArguments {
  std::string session_id;
  std::string new_session_id;
  std::optional<std::uint64_t> at_step;
  std::map<std::string, std::string> labels;
  std::string request_id;
};

struct ExportArguments {
  std::string session_id;
  std::string file;  // "-": stdout
};

struct ImportArguments {
  std::string file;  // "-": stdin
  std::string session_id;
};

struct CatalogArguments {
  std::string name;  // empty: all
  std::uint32_t version = 0;
  bool source = false;  // only that
};

struct DefineArguments {
  std::string file;  // "-": stdin
  std::string name;
  std::string documentation;  // the file that has it; empty: what the source says
};

struct UndefineArguments {
  std::string name;
};

// How a value is made of what is read.
enum class SendAs : std::uint8_t { kAsDefined, kText, kJson, kBytes };

// What pipe and try do with stdin, and with what comes of it.
struct FeedArguments {
  SendAs send_as = SendAs::kAsDefined;
  bool last = false;       // print the last outcome only
  bool first = false;      // print the first yield too
  bool keep_ends = false;  // a line is sent with its line end
  bool chunks = false;     // blocks instead of lines
};

struct PipeArguments {
  CreateArguments create;
  FeedArguments feed;
};

struct TryArguments {
  std::string file;
  Map arguments;
  FeedArguments feed;
  std::uint64_t seed = 0;
};

struct VerifyArguments {
  std::string file;
  Map arguments;
  FeedArguments feed;  // of stdin, if it is no terminal
  std::uint64_t commands = 0;
  std::uint64_t seed = 0;
};

struct BenchArguments {
  enum class Mode : std::uint8_t { kUnary, kDrive };

  CreateArguments create;  // of each session
  Mode mode = Mode::kUnary;
  Value value;  // what each command sends
  std::uint64_t sessions = 1'000;
  std::uint64_t batch = 1;  // commands in a message of Drive
  int streams = 1;          // of Drive
  int outstanding = 1;      // calls; on Drive: messages on each stream
  std::optional<int> rate;  // calls a second, whatever is outstanding
  absl::Duration duration;
};

struct HealthArguments {
  std::string service;  // empty: the server as a whole
};

struct LogLevelArguments {
  std::string area;   // empty: each; "all": each, to be set
  std::string level;  // empty: it is shown, not set
};

using Command = std::variant<CreateArguments, SendArguments, ThrowArguments, CloseArguments, DeleteArguments,
                             GetArguments, ListArguments, CatalogArguments, PipeArguments, WatchArguments,
                             ForkArguments, ExportArguments, ImportArguments, BenchArguments, DefineArguments,
                             UndefineArguments, TryArguments, VerifyArguments, HealthArguments, LogLevelArguments>;

struct Invocation {
  GlobalArguments global;
  Command command;
};

// Nothing to run: a help text, the version, or what is wrong with the arguments.
struct Answer {
  std::string text;  // without a line end
  int exit_code = 0;
};

// Reads coroctl's arguments, without the program's name. Looks at the environment variables COROD_SERVER,
// COROD_TOKEN_FILE and COROD_TLS_CA too.
std::variant<Invocation, Answer> ParseArguments(const std::vector<std::string>& arguments);

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_ARGUMENTS_H_
