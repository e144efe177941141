#include "client/cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/context.h"
#include "client/cli/duration_text.h"
#include "client/cli/help.h"
#include "client/cli/json_value.h"
#include "client/cli/pipeline_text.h"
#include "server/coroutine/utf8.h"

namespace corod::cli {
namespace {

constexpr const char* kDefaultPort = "7117";
constexpr std::string_view kScriptSuffix = ".lua";
constexpr const char* kHint = "; see coroctl";

// What bench does unless it is told.
constexpr const char* kBenchCoroutine = "averager";
constexpr int kCallsOutstanding = 64;
constexpr int kMessagesOutstanding = 8;
constexpr std::uint64_t kBatch = 100;

// CLI11 takes an argument that begins with a minus for an option and splits one that begins with a bracket into
// several. A value that may begin so gets this character, which nobody types, before it.
constexpr char kShield = '\x1f';

std::string Shielded(std::string argument) {
  const bool number =
      argument.size() > 1 && argument[0] == '-' && (absl::ascii_isdigit(argument[1]) || argument[1] == '.');
  if (number || argument.starts_with('[')) argument.insert(argument.begin(), kShield);
  return argument;
}

std::string Unshielded(std::string argument) {
  if (argument.starts_with(kShield)) argument.erase(argument.begin());
  return argument;
}

// At most so many letters are wrong in a word that was meant to be another, and no more than half of the longer one's.
constexpr std::size_t kSlips = 2;

// How many letters have to be put in, taken out or exchanged to make `to` of `from`.
std::size_t SlipsBetween(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t exchanged = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, exchanged}));
    }
  }
  return row.back();
}

absl::Status Wrong(absl::string_view message) { return absl::InvalidArgumentError(message); }

// What CLI11 fills in, for whichever command it is.
struct Raw {
  std::string server = absl::StrCat("127.0.0.1:", kDefaultPort);
  std::string output = "text";
  std::string timeout = "30s";
  bool tls = false;
  client::TlsOptions tls_files;
  std::string token_file;

  std::string id;
  std::string name;  // of a coroutine
  std::vector<std::string> pairs;
  std::vector<std::string> labels;
  std::string idle_timeout;
  std::string if_exists = "fail";
  std::string durability;
  std::string state;
  std::string request_id;
  std::string uid;
  std::string value;
  std::string type;
  std::vector<std::string> values;
  std::vector<std::string> bases;
  std::string send_as;
  std::uint64_t expected_step = 0;
  std::uint64_t limit = 0;
  std::uint32_t version = 0;
  bool prime = false;
  bool quiet = false;
  bool force = false;
  bool last = false;
  bool first = false;
  bool keep_ends = false;
  bool chunks = false;
  bool durable = false;
  bool ephemeral = false;
  bool has_problem = false;
  bool json = false;
  bool times = false;
  std::optional<std::uint64_t> at_step;
  std::optional<std::uint64_t> from;
  std::optional<std::uint64_t> to;
  std::string new_id;
  std::string file = "-";
  std::string documentation;
  std::uint64_t commands = 1'000;
  std::uint64_t seed = 0;
  bool source = false;

  std::string service;
  std::string area;
  std::string level;

  std::string mode = "unary";
  std::string sent = "7";
  std::string duration = "5s";
  std::uint64_t sessions = 1'000;
  std::optional<std::uint64_t> batch;
  std::optional<int> streams;
  std::optional<int> outstanding;
  std::optional<int> rate;
};

absl::StatusOr<std::pair<std::string, std::string>> SplitPair(const std::string& pair, std::string_view what) {
  const std::size_t equals = pair.find('=');
  if (equals == 0 || equals == std::string::npos) {
    return Wrong(absl::StrCat(pair, ": ", std::string(what), " is written name=value"));
  }
  return std::pair(pair.substr(0, equals), pair.substr(equals + 1));
}

absl::StatusOr<Map> ArgumentsFrom(const Raw& raw) {
  Map arguments;
  for (const std::string& text : raw.pairs) {
    const auto pair = SplitPair(Unshielded(text), "an argument");
    if (!pair.ok()) return pair.status();
    if (arguments.Find(pair->first) != nullptr) return Wrong(absl::StrCat(pair->first, " is given twice"));
    absl::StatusOr<Value> value = ParseValue(pair->second);
    if (!value.ok()) return Wrong(absl::StrCat(pair->first, ": ", value.status().message()));
    arguments[pair->first] = *std::move(value);
  }
  return arguments;
}

absl::StatusOr<std::map<std::string, std::string>> LabelsFrom(const Raw& raw) {
  std::map<std::string, std::string> labels;
  for (const std::string& text : raw.labels) {
    const auto pair = SplitPair(text, "a label");
    if (!pair.ok()) return pair.status();
    if (!labels.insert(*pair).second) return Wrong(absl::StrCat("the label ", pair->first, " is given twice"));
  }
  return labels;
}

absl::StatusOr<absl::Duration> DurationFrom(const std::string& option, const std::string& text) {
  const std::optional<absl::Duration> duration = ParseDuration(Unshielded(text));
  if (!duration) return Wrong(absl::StrCat(option, ": ", text, " is no duration; write 500ms, 30s, 10m or 1h30m"));
  return *duration;
}

absl::StatusOr<GlobalArguments> GlobalFrom(const Raw& raw) {
  GlobalArguments global;
  global.server = raw.server;
  if (global.server.empty()) return Wrong("--server needs an address");
  if (global.server.find_first_of(":/") == std::string::npos) absl::StrAppend(&global.server, ":", kDefaultPort);
  // The server's own socket is its owner's alone, who may do everything.
  const bool is_socket = global.server.starts_with("unix:");
  const client::TlsOptions& tls = raw.tls_files;
  const bool has_tls = raw.tls || !tls.ca_file.empty() || !tls.certificate_file.empty() || !tls.server_name.empty();
  if (has_tls && !is_socket) global.security.tls = tls;
  if (!is_socket) global.security.token_file = raw.token_file;
  global.format = raw.json || raw.output == "json" ? Format::kJson : Format::kText;
  const absl::StatusOr<absl::Duration> timeout = DurationFrom("--timeout", raw.timeout);
  if (!timeout.ok()) return timeout.status();
  global.timeout = *timeout == absl::ZeroDuration() ? absl::InfiniteDuration() : *timeout;
  return global;
}

absl::StatusOr<CreateArguments> CreateFrom(const Raw& raw) {
  CreateArguments create;
  absl::StatusOr<Map> arguments = ArgumentsFrom(raw);
  if (!arguments.ok()) return arguments.status();
  absl::StatusOr<std::map<std::string, std::string>> labels = LabelsFrom(raw);
  if (!labels.ok()) return labels.status();
  if (!raw.idle_timeout.empty()) {
    const absl::StatusOr<absl::Duration> duration = DurationFrom("--idle-timeout", raw.idle_timeout);
    if (!duration.ok()) return duration.status();
    create.idle_timeout = *duration;
  }
  create.coroutine = raw.name;
  create.arguments = *std::move(arguments);
  if (IsPipelineText(raw.name)) {
    absl::StatusOr<List> stages = ParsePipelineText(raw.name);
    if (!stages.ok()) return stages.status();
    if (create.arguments.Find("stages") != nullptr) return Wrong("stages is given twice: as a pipeline, and by name");
    create.coroutine = kPipelineCoroutine;
    create.arguments["stages"] = *std::move(stages);
  }
  create.session_id = raw.id;
  create.prime = raw.prime;
  create.labels = *std::move(labels);
  if (raw.if_exists == "return") create.if_exists = v1::IF_EXISTS_RETURN;
  if (raw.if_exists == "replace-finished") create.if_exists = v1::IF_EXISTS_REPLACE_FINISHED;
  if (raw.ephemeral || raw.durability == "ephemeral") create.durability = v1::DURABILITY_EPHEMERAL;
  if (raw.durable || raw.durability == "durable") create.durability = v1::DURABILITY_DURABLE;
  create.version = raw.version;
  create.request_id = raw.request_id;
  return create;
}

StepArguments StepFrom(const Raw& raw) {
  return {.session_id = raw.id, .expected_step = raw.expected_step, .request_id = raw.request_id, .quiet = raw.quiet};
}

absl::StatusOr<Command> SendFrom(const Raw& raw) {
  absl::StatusOr<Value> value = ParseValue(Unshielded(raw.value));
  if (!value.ok()) return value.status();
  return SendArguments{.step = StepFrom(raw), .value = *std::move(value)};
}

absl::StatusOr<Command> ThrowFrom(const Raw& raw) {
  if (raw.type.starts_with('{')) {
    const absl::StatusOr<Value> value = ParseJson(raw.type);
    if (!value.ok()) return value.status();
    if (value->kind() != Value::Kind::kException || !raw.values.empty() || !raw.bases.empty()) {
      return Wrong("TYPE is the name of a class, or {\"$exception\": {...}} and nothing after it");
    }
    return ThrowArguments{.step = StepFrom(raw), .exception = value->AsException()};
  }
  if (raw.type.empty()) return Wrong("TYPE must not be empty");
  List arguments;
  for (const std::string& text : raw.values) {
    absl::StatusOr<Value> value = ParseValue(Unshielded(text));
    if (!value.ok()) return value.status();
    arguments.push_back(*std::move(value));
  }
  return ThrowArguments{.step = StepFrom(raw), .exception = Exception(raw.type, std::move(arguments), raw.bases)};
}

absl::StatusOr<Command> ListFrom(const Raw& raw) {
  absl::StatusOr<std::map<std::string, std::string>> labels = LabelsFrom(raw);
  if (!labels.ok()) return labels.status();
  ListArguments list{
      .coroutine = raw.name, .labels = *std::move(labels), .limit = raw.limit, .has_problem = raw.has_problem};
  // Parse names the states that there are.
  if (!raw.state.empty()) v1::State_Parse(absl::StrCat("STATE_", absl::AsciiStrToUpper(raw.state)), &list.state);
  return list;
}

WatchArguments WatchFrom(const Raw& raw, WatchArguments::Kind kind) {
  return {.kind = kind,
          .session_id = raw.id,
          .from = raw.from,
          .to = raw.to,
          .times = raw.times ? Times::kShown : Times::kHidden};
}

absl::StatusOr<Command> ForkFrom(const Raw& raw) {
  absl::StatusOr<std::map<std::string, std::string>> labels = LabelsFrom(raw);
  if (!labels.ok()) return labels.status();
  return ForkArguments{.session_id = raw.id,
                       .new_session_id = raw.new_id,
                       .at_step = raw.at_step,
                       .labels = *std::move(labels),
                       .request_id = raw.request_id};
}

FeedArguments FeedFrom(const Raw& raw) {
  FeedArguments feed{.last = raw.last, .first = raw.first, .keep_ends = raw.keep_ends, .chunks = raw.chunks};
  if (raw.send_as == "text") feed.send_as = SendAs::kText;
  if (raw.send_as == "json") feed.send_as = SendAs::kJson;
  if (raw.send_as == "bytes") feed.send_as = SendAs::kBytes;
  return feed;
}

absl::StatusOr<Command> PipeFrom(const Raw& raw) {
  absl::StatusOr<CreateArguments> create = CreateFrom(raw);
  if (!create.ok()) return create.status();
  return PipeArguments{.create = *std::move(create), .feed = FeedFrom(raw)};
}

absl::StatusOr<Command> DefineFrom(const Raw& raw) {
  DefineArguments define{.file = raw.file, .name = raw.name, .documentation = raw.documentation};
  if (define.file == "-" && define.documentation == "-") return Wrong("stdin cannot be both, source and documentation");
  if (!define.name.empty()) return define;
  if (define.file == "-") return Wrong("a source from stdin has no name; give it one with --name");
  define.name = define.file.substr(define.file.rfind('/') + 1);
  if (define.name.ends_with(kScriptSuffix)) define.name.erase(define.name.rfind('.'));
  if (define.name.empty()) return Wrong(absl::StrCat(define.file, " has no name; give it one with --name"));
  return define;
}

absl::StatusOr<Command> TryFrom(const Raw& raw) {
  if (raw.file == "-") return Wrong("FILE must be a file: stdin has what is sent");
  absl::StatusOr<Map> arguments = ArgumentsFrom(raw);
  if (!arguments.ok()) return arguments.status();
  return TryArguments{.file = raw.file, .arguments = *std::move(arguments), .feed = FeedFrom(raw), .seed = raw.seed};
}

absl::StatusOr<Command> VerifyFrom(const Raw& raw) {
  if (raw.file == "-") return Wrong("FILE must be a file: stdin has what is sent");
  absl::StatusOr<Map> arguments = ArgumentsFrom(raw);
  if (!arguments.ok()) return arguments.status();
  return VerifyArguments{.file = raw.file,
                         .arguments = *std::move(arguments),
                         .feed = FeedFrom(raw),
                         .commands = raw.commands,
                         .seed = raw.seed};
}

absl::StatusOr<Command> BenchFrom(const Raw& raw) {
  const bool drives = raw.mode == "drive";
  if (!drives && raw.batch) return Wrong("--batch goes with --mode drive");
  if (!drives && raw.streams) return Wrong("--streams goes with --mode drive");
  if (drives && raw.rate) return Wrong("--rate goes with --mode unary");
  absl::StatusOr<CreateArguments> create = CreateFrom(raw);
  if (!create.ok()) return create.status();
  if (create->coroutine.empty()) create->coroutine = kBenchCoroutine;
  absl::StatusOr<Value> value = ParseValue(Unshielded(raw.sent));
  if (!value.ok()) return Wrong(absl::StrCat("--value: ", value.status().message()));
  const absl::StatusOr<absl::Duration> duration = DurationFrom("--duration", raw.duration);
  if (!duration.ok()) return duration.status();
  if (*duration == absl::ZeroDuration()) return Wrong("--duration must be more than 0");
  return BenchArguments{.create = *std::move(create),
                        .mode = drives ? BenchArguments::Mode::kDrive : BenchArguments::Mode::kUnary,
                        .value = *std::move(value),
                        .sessions = raw.sessions,
                        .batch = raw.batch.value_or(kBatch),
                        .streams = raw.streams.value_or(1),
                        .outstanding = raw.outstanding.value_or(drives ? kMessagesOutstanding : kCallsOutstanding),
                        .rate = raw.rate,
                        .duration = *duration};
}

// The command line's grammar.
class Grammar {
 public:
  Grammar() : app_("Drives coroutines on a corod server: create, send, throw, close.", "coroctl") {
    app_.require_subcommand(1, 1);
    app_.footer(help::kMain);
    app_.set_version_flag("--version", "coroctl " COROD_VERSION, "Print the version and exit");
    app_.set_help_flag("-h,--help", "Print this help and exit");
    app_.add_option("--server", raw_.server, "The server's address")
        ->envname("COROD_SERVER")
        ->type_name("HOST:PORT")
        ->capture_default_str();
    AddSecurity();
    app_.add_option("--output", raw_.output, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->type_name("FORMAT")
        ->capture_default_str();
    app_.add_option("--timeout", raw_.timeout, "How long to wait for an answer; 0: for ever (streams have no limit)")
        ->type_name("DURATION")
        ->capture_default_str();
    AddCreate();
    AddSteps();
    AddSessions();
    AddHistory();
    AddFork();
    AddTransfer();
    AddCatalog();
    AddDefine();
    AddPipe();
    AddTry();
    AddBench();
    AddHealth();
    AddLogLevel();
  }

  std::variant<Invocation, Answer> Parse(const std::vector<std::string>& arguments) {
    std::vector<std::string> reversed;
    for (auto argument = arguments.rbegin(); argument != arguments.rend(); ++argument) {
      if (!IsUtf8(*argument)) return Wrong("an argument is not UTF-8");
      reversed.push_back(Shielded(*argument));
    }
    try {
      app_.parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
      const std::string text = app_.help();
      return Answer{.text = text.substr(0, text.find_last_not_of('\n') + 1), .exit_code = kFine};
    } catch (const CLI::CallForVersion& version) {
      return Answer{.text = version.what(), .exit_code = kFine};
    } catch (const CLI::ParseError& error) {
      if (Chosen() != &app_ || dynamic_cast<const CLI::RequiredError*>(&error) == nullptr) return Wrong(error.what());
      return Wrong(WhatIsMissing(app_.remaining()));
    }
    absl::StatusOr<GlobalArguments> global = GlobalFrom(raw_);
    if (!global.ok()) return Wrong(global.status().message());
    absl::StatusOr<Command> command = commands_.at(Chosen())(raw_);
    if (!command.ok()) return Wrong(command.status().message());
    return Invocation{.global = *std::move(global), .command = *std::move(command)};
  }

 private:
  using Builder = absl::StatusOr<Command> (*)(const Raw&);

  // The command that was named, or coroctl itself.
  CLI::App* Chosen() {
    const std::vector<CLI::App*> chosen = app_.get_subcommands();
    return chosen.empty() ? &app_ : chosen.front();
  }

  // Where no command was named: what stands in its place, and what may have been meant.
  std::string WhatIsMissing(const std::vector<std::string>& rest) {
    if (rest.empty()) return "a command is required";
    const std::string& word = rest.front();
    if (word.size() > 1 && word.starts_with('-')) return absl::StrCat("there is no option ", word);
    std::string nearest;
    std::size_t least = kSlips + 1;
    for (const auto& [command, builder] : commands_) {
      const std::string& name = command->get_name();
      const std::size_t slips = !word.empty() && name.starts_with(word) ? 0 : SlipsBetween(word, name);
      if (slips > std::max(word.size(), name.size()) / 2) continue;
      // Equally near: the first in the alphabet, whatever their places in memory.
      if (slips < least || (slips == least && slips <= kSlips && name < nearest)) {
        least = slips;
        nearest = name;
      }
    }
    return absl::StrCat("there is no command ", word, nearest.empty() ? "" : " (did you mean " + nearest + "?)");
  }

  Answer Wrong(absl::string_view what) {
    const CLI::App* chosen = Chosen();
    std::string text =
        absl::StrCat("coroctl: ", what, kHint, chosen == &app_ ? "" : " " + chosen->get_name(), " --help");
    // One line, without what stands for this program alone.
    return {.text = absl::StrReplaceAll(text, {{"\n", " "}, {std::string(1, kShield), ""}}), .exit_code = kWrongUsage};
  }

  CLI::App* Add(const char* name, const char* description, const char* footer, Builder builder) {
    CLI::App* command = app_.add_subcommand(name, description);
    command->footer(footer);
    command->fallthrough();  // --server and its like may stand after the command too
    commands_[command] = builder;
    return command;
  }

  void AddSecurity() {
    client::TlsOptions& tls = raw_.tls_files;
    app_.add_flag("--tls", raw_.tls, "Encrypt, and trust the roots that this system trusts");
    app_.add_option("--tls-ca", tls.ca_file, "Encrypt, and trust the roots in this file (PEM) instead")
        ->envname("COROD_TLS_CA")
        ->type_name("FILE");
    CLI::Option* const certificate =
        app_.add_option("--tls-cert", tls.certificate_file, "Encrypt, and show the server this certificate (PEM)")
            ->type_name("FILE");
    CLI::Option* const key = app_.add_option("--tls-key", tls.key_file, "The certificate's key (PEM)")
                                 ->type_name("FILE")
                                 ->needs(certificate);
    certificate->needs(key);
    app_.add_option("--tls-server-name", tls.server_name,
                    "Encrypt, and want a certificate for this name in the place of --server's")
        ->type_name("NAME");
    app_.add_option("--token-file", raw_.token_file, "The file that has your token; it is read again when it changes")
        ->envname("COROD_TOKEN_FILE")
        ->type_name("FILE");
  }

  void AddId(CLI::App* command) { command->add_option("ID", raw_.id, "The session")->required()->type_name(""); }
  void AddRequestId(CLI::App* command) {
    command
        ->add_option("--request-id", raw_.request_id, "Makes the call safe to repeat: the same id does not run again")
        ->type_name("ID");
  }
  void AddVersion(CLI::App* command) {
    command->add_option("--version", raw_.version, "Of the coroutine (the newest)")->type_name("N");
  }
  void AddLabels(CLI::App* command, const char* description) {
    command->add_option("--label", raw_.labels, description)->type_name("NAME=VALUE")->allow_extra_args(false);
  }
  void AddStep(CLI::App* command) {
    command->add_option("--expected-step", raw_.expected_step, "Only if this becomes step N of the session")
        ->type_name("N");
    AddRequestId(command);
  }
  void AddAt(CLI::App* command, const char* description) {
    command->add_option("--at", raw_.at_step, description)->type_name("N");
  }
  void AddEventForm(CLI::App* command) {
    command->add_flag("--time", raw_.times, "Also show when each was accepted");
    command->add_flag("--json", raw_.json, "The same as --output json: one object a line");
  }
  void AddQuiet(CLI::App* command) {
    command->add_flag("--quiet", raw_.quiet, "Do not have the value sent back: print nothing for a yield");
  }
  void AddCoroutine(CLI::App* command) {
    command->add_option("COROUTINE", raw_.name, "Its name in the catalog")->required()->type_name("");
  }
  // What create, pipe and bench have in common, behind the coroutine's name.
  void AddCreation(CLI::App* command) {
    command->add_option("ARGUMENT", raw_.pairs, "Its arguments, as name=value")->type_name("");
    AddLabels(command, "A label of the session (repeatable)");
    CLI::Option* kind = command
                            ->add_option("--durability", raw_.durability,
                                         "What survives a restart: ephemeral or durable (the server's default)")
                            ->check(CLI::IsMember({"ephemeral", "durable"}))
                            ->type_name("KIND");
    CLI::Option* durable = command->add_flag("--durable", raw_.durable, "The same as --durability durable");
    command->add_flag("--ephemeral", raw_.ephemeral, "The same as --durability ephemeral")
        ->excludes(kind)
        ->excludes(durable);
    durable->excludes(kind);
    AddVersion(command);
  }

  void AddCreate() {
    CLI::App* create = Add("create", "Make a session", help::kCreate, [](const Raw& raw) -> absl::StatusOr<Command> {
      absl::StatusOr<CreateArguments> arguments = CreateFrom(raw);
      if (!arguments.ok()) return arguments.status();
      return Command(*std::move(arguments));
    });
    AddCoroutine(create);
    AddCreation(create);
    create->add_option("--id", raw_.id, "The session's id (the server makes one)")->type_name("ID");
    create->add_flag("--prime", raw_.prime, "Also run it to its first yield");
    create->add_option("--idle-timeout", raw_.idle_timeout, "Close it after so long without a command; 0: never")
        ->type_name("DURATION");
    create->add_option("--if-exists", raw_.if_exists, "When the id is taken: fail, return or replace-finished")
        ->check(CLI::IsMember({"fail", "return", "replace-finished"}))
        ->type_name("WHAT")
        ->capture_default_str();
    AddRequestId(create);
  }

  void AddSteps() {
    CLI::App* send = Add("send", "Send a value to a coroutine", help::kSend, &SendFrom);
    AddId(send);
    send->add_option("VALUE", raw_.value, "What to send, as JSON; what is not JSON is a text")
        ->required()
        ->type_name("");
    AddStep(send);
    AddQuiet(send);

    CLI::App* next =
        Add("next", "Resume a coroutine, or start it", help::kNext, [](const Raw& raw) -> absl::StatusOr<Command> {
          return SendArguments{.step = StepFrom(raw), .value = Value()};
        });
    AddId(next);
    AddStep(next);
    AddQuiet(next);

    CLI::App* raise = Add("throw", "Raise an exception in a coroutine", help::kThrow, &ThrowFrom);
    AddId(raise);
    raise->add_option("TYPE", raw_.type, "The exception's class")->required()->type_name("");
    raise->add_option("ARGUMENT", raw_.values, "What the class is called with, as JSON or text")->type_name("");
    raise->add_option("--base", raw_.bases, "A class that TYPE derives from, nearest first (repeatable)")
        ->type_name("CLASS")
        ->allow_extra_args(false);
    AddStep(raise);
    AddQuiet(raise);

    CLI::App* close = Add("close", "Close a coroutine", help::kClose, [](const Raw& raw) -> absl::StatusOr<Command> {
      return CloseArguments{.step = StepFrom(raw), .force = raw.force};
    });
    AddId(close);
    close->add_flag("--force", raw_.force, "Finish the session whatever its body does");
    AddStep(close);
  }

  void AddSessions() {
    CLI::App* remove =
        Add("delete", "Close a coroutine and forget its session", help::kDelete,
            [](const Raw& raw) -> absl::StatusOr<Command> {
              return DeleteArguments{
                  .session_id = raw.id, .uid = raw.uid, .force = raw.force, .request_id = raw.request_id};
            });
    AddId(remove);
    remove->add_flag("--force", raw_.force, "Drop it after the first close that it ignores; else after the third");
    remove->add_option("--uid", raw_.uid, "Only this life of the id")->type_name("UID");
    AddRequestId(remove);

    CLI::App* get = Add("get", "Show a session", help::kGet, [](const Raw& raw) -> absl::StatusOr<Command> {
      return GetArguments{.session_id = raw.id, .at_step = raw.at_step};
    });
    AddId(get);
    AddAt(get, "As it stood after step N; 0: as created");

    CLI::App* list = Add("list", "List sessions", help::kList, &ListFrom);
    list->add_option("--coroutine", raw_.name, "Only those of this coroutine")->type_name("NAME");
    list->add_option("--state", raw_.state, "Only those that are created, suspended, running or closed")
        ->check(CLI::IsMember({"created", "suspended", "running", "closed"}))
        ->type_name("STATE");
    AddLabels(list, "Only those with this label (repeatable)");
    list->add_flag("--problem", raw_.has_problem, "Only those that have a problem");
    list->add_option("--limit", raw_.limit, "At most so many (all)")->type_name("N");
  }

  void AddHistory() {
    CLI::App* watch =
        Add("watch", "Show a session's steps as they come", help::kWatch,
            [](const Raw& raw) -> absl::StatusOr<Command> { return WatchFrom(raw, WatchArguments::Kind::kWatch); });
    AddId(watch);
    watch->add_option("--from", raw_.from, "Begin with step N; 0: with the first that is kept (the next to come)")
        ->type_name("N");
    AddEventForm(watch);

    CLI::App* history =
        Add("history", "Show a session's steps so far", help::kHistory, [](const Raw& raw) -> absl::StatusOr<Command> {
          if (raw.from && raw.to && *raw.to < *raw.from) return cli::Wrong("--to lies before --from");
          return WatchFrom(raw, WatchArguments::Kind::kHistory);
        });
    AddId(history);
    history->add_option("--from", raw_.from, "Begin with step N (the first that is kept)")->type_name("N");
    history->add_option("--to", raw_.to, "End with step N (the last)")->type_name("N");
    AddEventForm(history);
  }

  void AddFork() {
    CLI::App* fork = Add("fork", "Make a session that stands where another one stood", help::kFork, &ForkFrom);
    AddId(fork);
    fork->add_option("NEW_ID", raw_.new_id, "The new session's id (the server makes one)")->type_name("");
    AddAt(fork, "As it stood after step N; 0: as created (as it stands)");
    AddLabels(fork, "A label of the new session (repeatable)");
    AddRequestId(fork);
  }

  void AddTransfer() {
    CLI::App* save =
        Add("export", "Write a session's log to a file", help::kExport, [](const Raw& raw) -> absl::StatusOr<Command> {
          if (raw.file.empty()) return cli::Wrong("-o needs the name of a file");
          return ExportArguments{.session_id = raw.id, .file = raw.file};
        });
    AddId(save);
    save->add_option("-o,--file", raw_.file, "Where to; -: stdout")->type_name("FILE")->capture_default_str();

    CLI::App* load =
        Add("import", "Make a session of such a file", help::kImport, [](const Raw& raw) -> absl::StatusOr<Command> {
          return ImportArguments{.file = raw.file, .session_id = raw.new_id};
        });
    load->add_option("FILE", raw_.file, "The file; -: stdin (the default)")->type_name("");
    load->add_option("--id", raw_.new_id, "The new session's id (the exported one's)")->type_name("NEW_ID");
  }

  void AddCatalog() {
    CLI::App* catalog =
        Add("catalog", "Show what can be created", help::kCatalog, [](const Raw& raw) -> absl::StatusOr<Command> {
          if (raw.source && raw.name.empty()) return cli::Wrong("--source goes with a NAME");
          return CatalogArguments{.name = raw.name, .version = raw.version, .source = raw.source};
        });
    catalog->add_option("NAME", raw_.name, "Show all of this one")->type_name("");
    AddVersion(catalog);
    catalog->add_flag("--source", raw_.source, "Print its source alone");
  }

  void AddDefine() {
    CLI::App* define = Add("define", "Put a coroutine of your own into the catalog", help::kDefine, &DefineFrom);
    define->add_option("FILE", raw_.file, "Its source, in Lua; -: stdin")->required()->type_name("");
    define->add_option("--name", raw_.name, "What create is to call it (the file's name, without .lua)")
        ->type_name("NAME");
    define->add_option("--documentation", raw_.documentation, "Markdown (what the source says)")->type_name("FILE");

    CLI::App* undefine =
        Add("undefine", "Take it out of the catalog", help::kUndefine,
            [](const Raw& raw) -> absl::StatusOr<Command> { return UndefineArguments{.name = raw.name}; });
    undefine->add_option("NAME", raw_.name, "Its name in the catalog")->required()->type_name("");
  }

  void AddOutcomes(CLI::App* command) {
    command->add_flag("--last", raw_.last, "Print the last outcome only");
    command->add_flag("--first", raw_.first, "Also print what it yields before the first line");
  }
  // What pipe, try and verify read from stdin.
  void AddFeed(CLI::App* command) {
    CLI::Option* as =
        command->add_option("--as", raw_.send_as, "How a line is sent: text, json or bytes (as the catalog says)")
            ->check(CLI::IsMember({"text", "json", "bytes"}))
            ->type_name("KIND");
    CLI::Option* ends = command->add_flag("--keep-ends", raw_.keep_ends, "Send each line with its line end");
    command->add_flag("--chunks", raw_.chunks, "Send blocks of bytes as they come, not lines")
        ->excludes(as)
        ->excludes(ends);
  }

  void AddPipe() {
    CLI::App* pipe = Add("pipe", "Send lines of stdin to a new coroutine", help::kPipe, &PipeFrom);
    AddCoroutine(pipe);
    AddCreation(pipe);
    AddOutcomes(pipe);
    AddFeed(pipe);
    pipe->add_option("--idle-timeout", raw_.idle_timeout, "Close it after so long without a line; 0: never (10m)")
        ->type_name("DURATION");
  }

  void AddTry() {
    CLI::App* attempt = Add("try", "Send lines of stdin to a script, without a server", help::kTry, &TryFrom);
    AddScript(attempt);
    AddOutcomes(attempt);
    AddFeed(attempt);

    CLI::App* verify = Add("verify", "See whether a script answers the same when it is run again, without a server",
                           help::kVerify, &VerifyFrom);
    AddScript(verify);
    AddFeed(verify);
    verify->add_option("--commands", raw_.commands, "So many random ones")
        ->check(CLI::Range(1, 10'000'000))
        ->type_name("N")
        ->capture_default_str();
  }
  void AddScript(CLI::App* command) {
    command->add_option("FILE", raw_.file, "The script, in Lua")->required()->type_name("");
    command->add_option("ARGUMENT", raw_.pairs, "Its arguments, as name=value")->type_name("");
    command->add_option("--seed", raw_.seed, "Of the random numbers")->type_name("N")->capture_default_str();
  }

  void AddBench() {
    CLI::App* bench = Add("bench", "Measure how fast the server answers", help::kBench, &BenchFrom);
    bench->add_option("COROUTINE", raw_.name, absl::StrCat("Its name in the catalog (", kBenchCoroutine, ")"))
        ->type_name("");
    AddCreation(bench);
    bench->add_option("--mode", raw_.mode, "unary: a call for each command; drive: many in each message of a stream")
        ->check(CLI::IsMember({"unary", "drive"}))
        ->type_name("MODE")
        ->capture_default_str();
    bench->add_option("--sessions", raw_.sessions, "How many it sends to, in random order")
        ->check(CLI::Range(1, 10'000'000))
        ->type_name("N")
        ->capture_default_str();
    bench
        ->add_option("--outstanding", raw_.outstanding,
                     absl::StrCat("How many calls (", kCallsOutstanding, "), or messages on each stream (",
                                  kMessagesOutstanding, "), are under way"))
        ->check(CLI::Range(1, 100'000))
        ->type_name("N");
    bench->add_option("--batch", raw_.batch, absl::StrCat("Drive: commands in each message (", kBatch, ")"))
        ->check(CLI::Range(1, 10'000))
        ->type_name("N");
    bench->add_option("--streams", raw_.streams, "Drive: streams on the one connection (1)")
        ->check(CLI::Range(1, 1'000))
        ->type_name("N");
    bench->add_option("--rate", raw_.rate, "Unary: so many calls a second, in the place of --outstanding")
        ->check(CLI::Range(1, 1'000'000))
        ->excludes("--outstanding")
        ->type_name("N");
    bench->add_option("--duration", raw_.duration, "How long it measures")
        ->type_name("DURATION")
        ->capture_default_str();
    bench->add_option("--value", raw_.sent, "What each command sends, as JSON or text")
        ->type_name("VALUE")
        ->capture_default_str();
    bench->add_flag("--json", raw_.json, "The same as --output json");
  }

  void AddHealth() {
    CLI::App* health =
        Add("health", "Say whether the server takes calls", help::kHealth,
            [](const Raw& raw) -> absl::StatusOr<Command> { return HealthArguments{.service = raw.service}; });
    health->add_option("--service", raw_.service, "Of one service (the server as a whole)")->type_name("NAME");
  }

  void AddLogLevel() {
    CLI::App* level = Add("log-level", "Show or change how much the server logs", help::kLogLevel,
                          [](const Raw& raw) -> absl::StatusOr<Command> {
                            return LogLevelArguments{.area = raw.area, .level = raw.level};
                          });
    level->add_option("AREA", raw_.area, "A part of the server, or all")->type_name("");
    level->add_option("LEVEL", raw_.level, "trace, debug, info, warning, error or off")->type_name("");
  }

  Raw raw_;
  CLI::App app_;
  std::map<CLI::App*, Builder> commands_;
};

}  // namespace

std::variant<Invocation, Answer> ParseArguments(const std::vector<std::string>& arguments) {
  return Grammar().Parse(arguments);
}

}  // namespace corod::cli
