// try and verify: scripts by themselves, without a server.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/event_form.h"
#include "client/cli/files.h"
#include "client/cli/input_plan.h"
#include "client/cli/interrupts.h"
#include "client/cli/json_value.h"
#include "client/cli/line_reader.h"
#include "client/cli/random_commands.h"
#include "client/cli/report.h"
#include "client/cli/wakeup.h"
#include "server/catalog/catalog.h"
#include "server/catalog/restart_check.h"
#include "server/coroutine/step_context.h"
#include "server/lua/expression_stages.h"
#include "server/lua/scripts.h"

namespace corod::cli {
namespace {

constexpr std::size_t kLongestSequence = 30;  // of random commands
constexpr std::size_t kShownCommands = 20;
constexpr const char* kOtherwise = "script";  // what a script is called whose file's name is no name

std::string NameOf(const std::string& file) {
  std::string name = file.substr(file.rfind('/') + 1);
  name.erase(std::min(name.rfind('.'), name.size()));
  return Catalog::IsName(name) ? name : kOtherwise;
}

SendAs KindOf(const Definition& definition) {
  if (definition.sends_kind == SendsKind::kText) return SendAs::kText;
  if (definition.sends_kind == SendsKind::kBytes) return SendAs::kBytes;
  return SendAs::kJson;
}

// The engine as the server has it, with what corod comes with, and one script.
class Workshop {
 public:
  Workshop() {
    AddBuiltinCoroutines(catalog_);
    lua::AddExpressionStages(catalog_, scripts_);
  }

  // INVALID_ARGUMENT with what is wrong with it, which begins with the file's name where it is a line that is wrong.
  absl::Status Load(const std::string& file, const std::string& source, const Map& arguments) {
    const std::string name = NameOf(file);
    std::variant<Definition, std::string> defined =
        scripts_.Define(name, catalog_.LastVersion(name) + 1, source, /*documentation=*/"");
    if (const auto* wrong = std::get_if<std::string>(&defined)) {
      const bool names_a_line = wrong->starts_with(name + ":");
      return absl::InvalidArgumentError(
          absl::StrCat(file, names_a_line ? "" : ": ", names_a_line ? wrong->substr(name.size()) : *wrong));
    }
    try {
      catalog_.Add(std::get<Definition>(std::move(defined)), catalog_.revision() + 1);
    } catch (const std::invalid_argument& e) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": ", e.what()));
    }
    definition_ = catalog_.Newest(name);
    std::variant<std::vector<Value>, ArgumentError> bound = definition_->BindArguments(arguments);
    if (const auto* error = std::get_if<ArgumentError>(&bound)) return absl::InvalidArgumentError(error->message);
    arguments_ = std::get<std::vector<Value>>(std::move(bound));
    return absl::OkStatus();
  }

  // REQUIRES: Load was OK. So do the others.
  const Definition& definition() const { return *definition_; }
  const std::vector<Value>& arguments() const { return arguments_; }
  Coroutine Create() const { return definition_->create(arguments_, catalog_.revision()); }

 private:
  Catalog catalog_;
  lua::Scripts scripts_{catalog_};
  const Definition* definition_ = nullptr;
  std::vector<Value> arguments_;
};

Outcome Resume(Coroutine& coroutine, const CheckedCommand& command, const StepContext& step) {
  const StepScope scope(step);
  switch (command.kind) {
    case CheckedCommand::Kind::kSend:
      return coroutine.Send(command.value);
    case CheckedCommand::Kind::kThrow:
      return coroutine.Throw(command.value.AsException().Snapshot());
    case CheckedCommand::Kind::kClose:
      break;
  }
  return coroutine.Close();
}

// A script that gets what stdin holds.
class Trial {
 public:
  Trial(const Workshop& workshop, const TryArguments& arguments, InputPlan plan, Context& context)
      : definition_(workshop.definition()),
        arguments_(arguments),
        plan_(plan),
        context_(context),
        coroutine_(workshop.Create()) {}

  // Returns the exit status.
  int Run(LineReader& reader) {
    last_ = Step(CheckedCommand::Send(Value()));
    if (last_->kind != Outcome::Kind::kYielded || arguments_.feed.first) Show(*last_);
    if (last_->kind != Outcome::Kind::kYielded) return status_;
    if (arguments_.feed.first) last_.reset();
    const absl::Status input = SendLines(reader);
    if (arguments_.feed.last && last_) Show(*last_);
    if (!ended_) Close();
    if (input.ok()) return status_;
    const int wrong = TellWrongUsage(input, context_);
    return status_ == kFine ? wrong : status_;
  }

 private:
  Outcome Step(const CheckedCommand& command) {
    StepContext step;
    step.time = absl::ToChronoTime(context_.dependencies.clock->Now());
    step.seed = arguments_.seed;
    step.step = ++step_;
    Outcome outcome = Resume(coroutine_, command, step);
    if (outcome.kind == Outcome::Kind::kRaised) {
      outcome.exception().SetTraceback(absl::StrCat("coroutine ", definition_.name, ", step ", step_));
    }
    return outcome;
  }

  void Show(const Outcome& outcome) {
    status_ = ShowOutcome({.outcome = outcome, .step = step_}, context_);
    context_.output.Flush();
  }

  // Until the end of stdin or of the script. An error is one of the input.
  absl::Status SendLines(LineReader& reader) {
    while (context_.output.error() == 0) {
      const absl::StatusOr<std::optional<LineReader::Line>> line = reader.Next();
      if (!line.ok()) return line.status();
      if (!*line) break;
      absl::StatusOr<Value> value = ValueOf((*line)->bytes, plan_.send_as);
      if (!value.ok()) return WrongLine(**line, value.status());
      last_ = Step(CheckedCommand::Send(*std::move(value)));
      if (last_->kind != Outcome::Kind::kYielded) {
        ended_ = true;
        Show(*std::exchange(last_, std::nullopt));
        context_.output.Tell(absl::StrCat("coroctl: the coroutine ", status_ == kRaised ? "raised" : "returned", " at ",
                                          NameOfLine(plan_, (*line)->number), "; nothing after it counts"));
        break;
      }
      if (!arguments_.feed.last) Show(*last_);
    }
    return absl::OkStatus();
  }

  void Close() {
    const Outcome outcome = Step(CheckedCommand::Close());
    if (outcome.kind == Outcome::Kind::kReturned && outcome.value.is_null()) return;
    Show(outcome);
    if (status_ == kRaised) context_.output.Tell("coroctl: the coroutine raised when it was closed");
  }

  const Definition& definition_;
  const TryArguments& arguments_;
  const InputPlan plan_;
  Context& context_;
  Coroutine coroutine_;
  std::uint64_t step_ = 0;
  std::optional<Outcome> last_;  // that was yielded and, with --last, not shown
  bool ended_ = false;
  int status_ = kFine;
};

// Where a script answered otherwise than before.
struct Difference {
  std::vector<CheckedCommand> commands;
  std::size_t at = 0;
  std::string what;
};

std::string InWords(const CheckedCommand& command) {
  switch (command.kind) {
    case CheckedCommand::Kind::kSend:
      return command.value.is_null() ? "next" : absl::StrCat("send ", ToJson(command.value));
    case CheckedCommand::Kind::kThrow:
      return absl::StrCat("throw ", command.value.AsException().type());
    case CheckedCommand::Kind::kClose:
      break;
  }
  return "close";
}

class Verification {
 public:
  Verification(const VerifyArguments& arguments, std::string source)
      : arguments_(arguments), source_(std::move(source)) {}

  absl::Status Load() { return workshop_.Load(arguments_.file, source_, arguments_.arguments); }
  const Definition& definition() const { return workshop_.definition(); }

  // False: it has found a difference. REQUIRES: Load was OK.
  bool Run(const std::vector<Value>& lines) {
    RandomCommands random(definition().sends_kind, WordsOf(source_), lines, arguments_.seed);
    if (!lines.empty()) {
      std::vector<CheckedCommand> all{CheckedCommand::Send(Value())};
      for (const Value& line : lines) all.push_back(CheckedCommand::Send(line));
      all.push_back(CheckedCommand::Close());
      if (!Check(std::move(all))) return false;
    }
    for (std::uint64_t left = arguments_.commands; left > 0;) {
      std::vector<CheckedCommand> commands =
          random.Sequence(static_cast<std::size_t>(std::min<std::uint64_t>(left, kLongestSequence)));
      left -= commands.size();
      if (!Check(std::move(commands))) return false;
    }
    return true;
  }

  std::size_t sequences() const { return sequences_; }
  std::size_t commands() const { return commands_; }
  std::size_t restarts() const { return restarts_; }
  const std::optional<Difference>& difference() const { return difference_; }

 private:
  bool Check(std::vector<CheckedCommand> commands) {
    ++sequences_;
    commands_ += commands.size();
    return definition().restartable ? CheckWithRestarts(std::move(commands)) : CheckTwice(std::move(commands));
  }

  bool CheckWithRestarts(std::vector<CheckedCommand> commands) {
    RestartCheck check = CheckRestarts(definition(), workshop_.arguments(), commands);
    restarts_ += check.restarts;
    if (!check.difference) return true;
    difference_ = Difference{std::move(commands), check.difference->command, std::move(check.difference->what)};
    return false;
  }

  // On engines that have run nothing else.
  bool CheckTwice(std::vector<CheckedCommand> commands) {
    Workshop first;
    Workshop second;
    for (Workshop* workshop : {&first, &second}) {
      if (absl::Status wrong = workshop->Load(arguments_.file, source_, arguments_.arguments); !wrong.ok()) {
        difference_ = Difference{std::move(commands), 0, std::string(wrong.message())};
        return false;
      }
    }
    Coroutine one = first.Create();
    Coroutine other = second.Create();
    for (std::size_t i = 0; i < commands.size(); ++i) {
      const StepContext step{.time = std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::seconds(i)),
                             .seed = arguments_.seed,
                             .step = i + 1};
      const Outcome was = Resume(one, commands[i], step);
      const Outcome is = Resume(other, commands[i], step);
      if (was == is) continue;
      difference_ =
          Difference{std::move(commands), i,
                     absl::StrCat(OutcomeToWords(was), " the first time, ", OutcomeToWords(is), " the second")};
      return false;
    }
    return true;
  }

  const VerifyArguments& arguments_;
  const std::string source_;
  Workshop workshop_;
  std::size_t sequences_ = 0;
  std::size_t commands_ = 0;
  std::size_t restarts_ = 0;
  std::optional<Difference> difference_;
};

std::string DifferenceToText(const Difference& difference) {
  std::string text = "it answers differently:";
  const std::size_t begin = difference.at < kShownCommands ? 0 : difference.at + 1 - kShownCommands;
  if (begin > 0) absl::StrAppend(&text, "\n  ...");
  for (std::size_t i = begin; i <= difference.at && i < difference.commands.size(); ++i) {
    absl::StrAppend(&text, "\n  ", i + 1, "  ", InWords(difference.commands[i]));
  }
  return absl::StrCat(text, "\n", difference.what);
}

int Report(const Verification& verification, Context& context) {
  const bool restartable = verification.definition().restartable;
  const std::optional<Difference>& difference = verification.difference();
  const bool nothing_said = !difference && restartable && verification.restarts() == 0;
  if (context.global.format == Format::kJson) {
    context.output.Print(absl::StrCat(R"({"sequences": )", verification.sequences(), R"(, "commands": )",
                                      verification.commands(), R"(, "restartable": )", restartable ? "true" : "false",
                                      R"(, "restarts": )", verification.restarts(), R"(, "difference": )",
                                      difference ? QuoteJson(DifferenceToText(*difference)) : "null", "}"));
  } else if (difference) {
    context.output.Print(DifferenceToText(*difference));
  } else {
    context.output.Print(absl::StrCat(
        "no difference in ", verification.commands(), " commands to ", verification.sequences(), " coroutines, ",
        restartable ? absl::StrCat("with ", verification.restarts(), " restarts") : "each run twice; not restartable"));
  }
  if (!nothing_said) return difference ? kRaised : kFine;
  context.output.Flush();
  context.output.Tell("coroctl: it never stood at a yield where it could be restarted; give it lines that it takes");
  return kRaised;
}

}  // namespace

int RunCommand(const TryArguments& arguments, Context& context) {
  const absl::StatusOr<std::string> source = ReadText(arguments.file, context.io);
  if (!source.ok()) return TellWrongUsage(source.status(), context);
  Workshop workshop;
  if (absl::Status wrong = workshop.Load(arguments.file, *source, arguments.arguments); !wrong.ok())
    return TellWrongUsage(wrong, context);
  const absl::StatusOr<InputPlan> plan =
      PlanInput(arguments.feed, KindOf(workshop.definition()), workshop.definition().sends);
  if (!plan.ok()) return TellWrongUsage(plan.status(), context);
  Wakeup wakeup;
  const Interrupts interrupts([&wakeup](int /*signal*/) { wakeup.Wake(); });
  LineReader reader(context.io.in, wakeup.fd(), plan->cut);
  const int status = Trial(workshop, arguments, *plan, context).Run(reader);
  return interrupts.signal() != 0 ? kSignal + interrupts.signal() : status;
}

int RunCommand(const VerifyArguments& arguments, Context& context) {
  absl::StatusOr<std::string> source = ReadText(arguments.file, context.io);
  if (!source.ok()) return TellWrongUsage(source.status(), context);
  Verification verification(arguments, *std::move(source));
  if (absl::Status wrong = verification.Load(); !wrong.ok()) return TellWrongUsage(wrong, context);
  const Definition& definition = verification.definition();
  const absl::StatusOr<InputPlan> plan = PlanInput(arguments.feed, KindOf(definition), definition.sends);
  if (!plan.ok()) return TellWrongUsage(plan.status(), context);
  std::vector<Value> lines;
  if (isatty(context.io.in) == 0) {
    const Wakeup never;
    LineReader reader(context.io.in, never.fd(), plan->cut);
    while (true) {
      const absl::StatusOr<std::optional<LineReader::Line>> line = reader.Next();
      if (!line.ok()) return TellWrongUsage(line.status(), context);
      if (!*line) break;
      absl::StatusOr<Value> value = ValueOf((*line)->bytes, plan->send_as);
      if (!value.ok()) return TellWrongUsage(WrongLine(**line, value.status()), context);
      lines.push_back(*std::move(value));
    }
  }
  verification.Run(lines);
  return Report(verification, context);
}

}  // namespace corod::cli
