// Fuzzes Import: files that somebody made, or changed. An input is a file as it is, or one that Export made and the
// numbers of changes to it: of bytes within a part, whose checksum is made right again, and of the order of its parts.
//
// Whatever is imported, the answer is a session or one of the refusals that docs/errors.md has; a session that came of
// it can be looked at, sent to and deleted, and nothing is left then.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/crc32c.h"
#include "server/base/failure.h"
#include "server/catalog/catalog.h"
#include "server/journal/memory_journal.h"
#include "server/session/sessions.h"
#include "tests/fuzz/input.h"
#include "tests/unit/session/answers.h"
#include "tests/unit/session/fakes.h"

namespace corod::fuzz {
namespace {

constexpr std::string_view kMagic = "corod export 1\n";
constexpr std::size_t kFrameBytes = 5;  // of a part: its version and its checksum
constexpr int kMaxChanges = 8;

// A command, and whether it is answered.
class Asked : public Command {
 public:
  explicit Asked(Operation what, Value with = Value()) {
    operation = what;
    value = std::move(with);
  }
  void Finish(absl::StatusOr<Reply> reply) override { answer = std::move(reply); }
  std::optional<absl::StatusOr<Reply>> answer;
};

// A server on one thread.
class World {
 public:
  World() {
    AddBuiltinCoroutines(catalog_);
    Sessions::Options options;
    options.durability.checkpoint_every = 7;
    options.durability.history = 10;
    options.limits.max_bytes = 4'096;
    sessions_ = std::make_unique<Sessions>(options, catalog_, clock_, executor_, random_, journal_);
  }
  ~World() { executor_.RunAll(); }

  absl::StatusOr<Reply> Do(const std::string& id, Asked asked) {
    sessions_->Submit(id, &asked);
    executor_.RunAll();
    Require(asked.answer.has_value(), "a command is not answered");
    return *std::move(asked.answer);
  }
  void Create(const std::string& coroutine, Map arguments) {
    CreateSpec spec;
    spec.coroutine = coroutine;
    spec.session_id = "s";
    spec.prime = true;
    spec.arguments = std::move(arguments);
    std::optional<absl::Status> status;
    sessions_->Create(std::move(spec), [&status](const absl::StatusOr<Created>& made) { status = made.status(); });
    executor_.RunAll();
    Require(status && status->ok(), "a session of " + coroutine + " cannot be made");
  }
  std::string Export() {
    std::string file;
    std::optional<absl::Status> status;
    sessions_->Export(
        "s",
        [&file](const std::string& part, const std::function<void(bool)>& taken) {
          file += part;
          taken(true);
        },
        [&status](const absl::Status& done) { status = done; });
    executor_.RunAll();
    Require(status && status->ok(), "a session cannot be exported");
    return file;
  }
  absl::StatusOr<SessionInfo> Import(std::string file) {
    return AnswerOf<SessionInfo>(
        [&](Sessions::GetDone done) { sessions_->Import(std::move(file), "blue", "", std::move(done)); },
        [this] { executor_.RunAll(); });
  }
  absl::StatusOr<SessionInfo> Get(const std::string& id) {
    return GetNow(*sessions_, id, std::nullopt, [this] { executor_.RunAll(); });
  }
  void Sleep() {
    clock_.Advance(absl::Hours(1));
    sessions_->Sweep();
    executor_.RunAll();
  }
  std::size_t size() const { return sessions_->size(); }

 private:
  FakeClock clock_;
  ManualExecutor executor_;
  SequenceRandom random_;
  Catalog catalog_;
  MemoryJournal journal_{executor_, MemoryJournal::Options{.durable = true}};
  std::unique_ptr<Sessions> sessions_;
};

// What Export makes: with and without a checkpoint, of one that has finished, of one that runs others.
std::vector<std::string> MakeFiles() {
  std::vector<std::string> files;
  const auto add = [&files](const std::string& coroutine, Map arguments, const std::vector<Value>& sent, bool closes) {
    World world;
    world.Create(coroutine, std::move(arguments));
    for (const Value& value : sent) static_cast<void>(world.Do("s", Asked(Operation::kSend, value)));
    if (closes) static_cast<void>(world.Do("s", Asked(Operation::kClose)));
    files.push_back(world.Export());
  };
  const std::vector<Value> numbers(25, Value(2.5));
  add("averager", {}, numbers, false);
  add("averager", {}, {Value(1), Value("not a number")}, false);
  add("sliding_window", {{"size", Value(3)}}, {Value("a"), Value(Map{{"k", Value(List{Value(1)})}}), Value()}, true);
  add("line_splitter", {}, {Value("one\ntw"), Value("o\n")}, false);
  add("pipeline", {{"stages", Value(List{Value(Map{{"coroutine", Value("averager")}})})}}, numbers, false);
  return files;
}

std::vector<std::string> Split(std::string_view file) {
  std::vector<std::string> parts;
  file.remove_prefix(kMagic.size());
  while (file.size() >= 4) {
    std::size_t size = 0;
    for (int i = 3; i >= 0; --i) size = size << 8 | static_cast<unsigned char>(file[static_cast<std::size_t>(i)]);
    file.remove_prefix(4);
    if (size == 0) break;
    parts.emplace_back(file.substr(0, size));
    file.remove_prefix(size);
  }
  return parts;
}

std::string Join(const std::vector<std::string>& parts) {
  std::string file(kMagic);
  const auto add_size = [&file](std::size_t size) {
    for (int i = 0; i < 4; ++i) file += static_cast<char>(size >> 8 * i);
  };
  for (const std::string& part : parts) {
    add_size(part.size());
    file += part;
  }
  add_size(0);
  return file;
}

// Makes the checksum that of what the part holds now.
void MakeRight(std::string& part) {
  if (part.size() < kFrameBytes) return;
  const std::string_view message = std::string_view(part).substr(kFrameBytes);
  const std::uint32_t checksum =
      part[0] >= 3 ? Crc32c(message, Crc32c(std::string_view(part).substr(0, 1))) : Crc32c(message);
  for (std::size_t i = 0; i < 4; ++i) part[i + 1] = static_cast<char>(checksum >> 8 * i);
}

std::string Changed(std::string_view file, Input& input) {
  std::vector<std::string> parts = Split(file);
  for (int i = 0; i < kMaxChanges && !input.empty() && !parts.empty(); ++i) {
    const std::uint8_t what = input.Pick(6);
    std::string& part = parts[input.Byte() % parts.size()];
    const std::size_t at = (std::size_t{input.Byte()} << 8 | input.Byte()) % (part.size() + 1);
    switch (what) {
      case 0:
      case 1:
        if (at < part.size()) part[at] = static_cast<char>(input.Byte());
        break;
      case 2:
        part.insert(at, input.Take(input.Pick(16)));
        break;
      case 3:
        part.erase(at, 1 + input.Pick(16));
        break;
      case 4:
        parts.push_back(part);  // an element of its own, which a vector allows
        continue;
      default:
        std::swap(part, parts[input.Byte() % parts.size()]);
        continue;
    }
    MakeRight(part);
  }
  return Join(parts);
}

bool IsAllowed(const absl::Status& status) {
  static constexpr std::array kReasons = {
      Reason::INVALID_ARGUMENTS, Reason::INVALID_SESSION_ID, Reason::VERSION_UNAVAILABLE,
      Reason::REPLAY_DIVERGED,   Reason::SESSION_BROKEN,     Reason::HISTORY_TRIMMED,
      Reason::NOT_PRIMED,        Reason::HISTORY_LIMIT,      Reason::SESSION_NOT_FOUND};
  for (const Reason reason : kReasons) {
    if (IsFailure(status, reason)) return true;
  }
  return false;
}

void TestOneInput(Input input) {
  static const auto& files = *new std::vector<std::string>(MakeFiles());
  World world;
  const int choice = input.Pick(static_cast<int>(files.size()) + 1);
  const std::string file =
      choice == 0 ? std::string(input.Rest()) : Changed(files[static_cast<std::size_t>(choice - 1)], input);
  const absl::StatusOr<SessionInfo> imported = world.Import(file);
  if (!imported.ok()) {
    Require(IsAllowed(imported.status()), "import: " + imported.status().ToString());
    Require(world.size() == 0, "a file that is refused left a session");
    return;
  }
  const std::string& id = imported->key.id;
  Require(id.starts_with("/blue/"), "it is in no namespace of the caller's: " + id);
  for (const bool sleeps : {false, true}) {
    if (sleeps) world.Sleep();
    const absl::StatusOr<SessionInfo> looked = world.Get(id);
    if (!looked.ok()) {
      Require(IsAllowed(looked.status()), "get: " + looked.status().ToString());
      return;  // its time had come
    }
    const absl::StatusOr<Reply> sent = world.Do(id, Asked(Operation::kSend));
    Require(sent.ok() || IsAllowed(sent.status()), "send: " + sent.status().ToString());
  }
  const absl::StatusOr<Reply> deleted = world.Do(id, Asked(Operation::kDelete));
  Require(deleted.ok() || IsAllowed(deleted.status()), "delete: " + deleted.status().ToString());
  Require(world.size() == 0, "a session that was deleted is there");
}

}  // namespace
}  // namespace corod::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  corod::fuzz::TestOneInput(corod::fuzz::Input(data, size));
  return 0;
}
