#include "server/maintenance/commands.h"

#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "corod/v1/admin_service.grpc.pb.h"
#include "server/auth/identities.h"
#include "server/auth/identity.h"
#include "server/journal/journal_directory.h"
#include "server/log/log.h"
#include "server/maintenance/admin_socket.h"
#include "server/maintenance/check.h"
#include "server/maintenance/report.h"
#include "server/plugin/plugins.h"

namespace corod::maintenance {
namespace {

namespace fs = std::filesystem;

constexpr int kGood = 0, kWrong = 1, kFailed = 2;

// A command line: what all of them have.
class CommandLine {
 public:
  CommandLine(const char* name, const char* description) : name_(name), app_(description, name) {}

  CLI::App& app() { return app_; }
  void AddDataDir(std::string& data_dir, const char* what) {
    app_.add_option("--data-dir", data_dir, what)->capture_default_str()->type_name("DIR");
  }
  // The exit status, if it is not to be carried out. argv: begins with the command.
  std::optional<int> Parse(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::Success&) {
      std::fputs(app_.help().c_str(), stdout);
      return kGood;
    } catch (const CLI::Error& error) {
      std::string line = error.what();
      std::replace(line.begin(), line.end(), '\n', ' ');
      Say(line + " (" + name_ + " --help shows how it is used)");
      return kFailed;
    }
    return std::nullopt;
  }
  // On stderr.
  void Say(std::string_view line) const {
    std::fprintf(stderr, "%s: %.*s\n", name_.c_str(), static_cast<int>(line.size()), line.data());
  }
  void Say(const absl::Status& status) const { Say(std::string(status.message())); }

 private:
  const std::string name_;
  CLI::App app_;
};

int BackUpOverSocket(const CommandLine& line, const std::string& data_dir, const std::string& directory) {
  const std::string path = AdminSocketPath(data_dir);
  std::error_code error;
  if (const absl::Status checked = CheckSocketPath(path); !checked.ok()) {
    line.Say(absl::StrCat("a corod runs in ", data_dir, " and has no socket to be asked over: ",
                          std::string(checked.message()), "; stop it, and back up then"));
    return kWrong;
  }
  if (!fs::exists(path, error)) {
    line.Say(absl::StrCat("a corod runs in ", data_dir, " and cannot be asked, since ", path,
                          error ? ": " + error.message() : std::string(" is not there"),
                          "; stop it, and back up then"));
    return kWrong;
  }
  const auto channel = grpc::CreateChannel("unix:" + path, grpc::InsecureChannelCredentials());
  const auto stub = v1::AdminService::NewStub(channel);
  grpc::ClientContext context;
  v1::BackupRequest request;
  request.set_directory(directory);
  v1::BackupResponse response;
  const grpc::Status status = stub->Backup(&context, request, &response);
  if (!status.ok()) {
    line.Say(status.error_code() == grpc::StatusCode::UNAVAILABLE
                 ? absl::StrCat("the corod that runs in ", data_dir, " does not answer: ", status.error_message())
                 : status.error_message());
    return kWrong;
  }
  std::printf("a backup of %llu sessions (%llu bytes) is in %s\n", static_cast<unsigned long long>(response.sessions()),
              static_cast<unsigned long long>(response.bytes()), directory.c_str());
  return kGood;
}

int RunBackup(int argc, const char* const* argv) {
  std::string directory, data_dir = "corod-data";
  CommandLine line("corod backup", "Copies a data directory, also while a server works in it, to what restore takes.");
  line.app()
      .add_option("DIR", directory, "Where the copy is to be: a directory that is not there yet, or empty")
      ->required();
  line.AddDataDir(data_dir, "The directory to be copied");
  if (const std::optional<int> status = line.Parse(argc, argv)) return *status;
  data_dir = Normal(data_dir);
  if (const absl::Status there = CheckJournalFormat(data_dir); !there.ok()) {
    line.Say(there);
    return kFailed;
  }
  std::error_code error;
  directory = Normal(fs::absolute(directory, error).string());
  const absl::StatusOr<JournalReadLock> lock = JournalReadLock::Take(data_dir);
  if (absl::IsUnavailable(lock.status())) return BackUpOverSocket(line, data_dir, directory);
  if (!lock.ok()) {
    line.Say(lock.status());
    return kFailed;
  }
  if (const absl::Status checked = CheckBackupTarget(data_dir, directory); !checked.ok()) {
    line.Say(checked);
    return kWrong;
  }
  const absl::StatusOr<std::uint64_t> bytes = BackUpClosedJournal(data_dir, directory);
  if (!bytes.ok()) {
    line.Say(bytes.status());
    return kWrong;
  }
  std::printf("a backup (%llu bytes) is in %s\n", static_cast<unsigned long long>(*bytes), directory.c_str());
  return kGood;
}

int RunRestore(int argc, const char* const* argv, Catalog& catalog) {
  std::string directory, data_dir;
  bool accepts_damage = false;
  CommandLine line("corod restore",
                   "Makes a data directory of what corod backup made, which stays as it is. Reads it first, and copies "
                   "nothing that is damaged.");
  line.app().add_option("DIR", directory, "What corod backup made")->required();
  line.app()
      .add_option("--data-dir", data_dir, "The directory to be made; it is not there yet, or empty")
      ->required()
      ->type_name("DIR");
  line.app().add_flag("--accept-damage", accepts_damage, "Also if some of it is damaged: for want of a better one");
  if (const std::optional<int> status = line.Parse(argc, argv)) return *status;
  directory = Normal(directory);
  data_dir = Normal(data_dir);
  if (const absl::Status empty = CheckRestoreTarget(data_dir); !empty.ok()) {
    line.Say(empty);
    return kWrong;
  }
  const absl::StatusOr<Report> report = Check(directory, /*replays=*/false, catalog);
  if (!report.ok()) {
    line.Say(report.status());
    return kFailed;
  }
  if (report->IsDamaged() && !accepts_damage) {
    std::fputs(ToText(*report).c_str(), stderr);
    line.Say(absl::StrCat(directory, " is damaged, and nothing was copied; --accept-damage takes it as it is"));
    return kWrong;
  }
  if (const absl::Status restored = RestoreJournal(directory, data_dir); !restored.ok()) {
    line.Say(restored);
    return kWrong;
  }
  std::printf("%llu sessions are in %s\n", static_cast<unsigned long long>(report->sessions), data_dir.c_str());
  return kGood;
}

int RunCheck(int argc, const char* const* argv, Catalog& catalog) {
  std::string data_dir = "corod-data";
  bool as_json = false, replays = false;
  std::vector<std::string> plugin_files;
  CommandLine line(
      "corod check",
      "Reads a data directory that no server has open, or a backup, and says which sessions are damaged or "
      "have a problem. Changes nothing. Status 0: all is well; 1: something is not; 2: it cannot be read.");
  line.AddDataDir(data_dir, "The directory to be read");
  line.app().add_flag("--json", as_json, "One JSON object in place of lines");
  line.app().add_flag("--replay", replays, "Also runs each session's log again, and compares what comes out");
  line.app()
      .add_option("--plugin", plugin_files, "For --replay, as the server has it; may be given several times")
      ->type_name("FILE")
      ->allow_extra_args(false);
  if (const std::optional<int> status = line.Parse(argc, argv)) return *status;
  Plugins plugins(catalog);
  for (const std::string& file : plugin_files) {
    if (const auto added = plugins.Load(file); !added.ok()) {
      line.Say(added.status());
      return kFailed;
    }
  }
  const absl::StatusOr<Report> report = Check(Normal(data_dir), replays, catalog);
  if (absl::IsUnavailable(report.status())) {
    line.Say(absl::StrCat(std::string(report.status().message()), "; check a copy that corod backup makes"));
    return kFailed;
  }
  if (!report.ok()) {
    line.Say(report.status());
    return kFailed;
  }
  std::fputs((as_json ? ToJson(*report) : ToText(*report)).c_str(), stdout);
  return report->IsHealthy() ? kGood : kWrong;
}

int RunToken(int argc, const char* const* argv) {
  std::string name, name_space, role_name;
  CommandLine line(
      "corod token",
      "Makes a token. On stdout: the token, which is for its owner and is kept nowhere else. On stderr: the "
      "line for the server's identities file (--identities), which does not hold the token.");
  line.app().add_option("NAME", name, "Whose it is to be")->required();
  line.app().add_option("NAMESPACE", name_space, "Where his sessions and definitions are")->required();
  line.app().add_option("ROLE", role_name, "What he may do: observe, drive, define or admin")->required();
  if (const std::optional<int> status = line.Parse(argc, argv)) return *status;
  const std::optional<Role> role = RoleNamed(role_name);
  if (!role) {
    line.Say("a role is observe, drive, define or admin");
    return kFailed;
  }
  const absl::StatusOr<NewTokenResult> made = NewToken({name, name_space, *role});
  if (!made.ok()) {
    line.Say(made.status());
    return kFailed;
  }
  if (std::printf("%s\n", made->token.c_str()) < 0 || std::fflush(stdout) != 0) {
    line.Say("the token cannot be written to stdout; it is lost, make another one");
    return kWrong;
  }
  std::fprintf(stderr, "# For the identities file:\n%s\n", made->line.c_str());
  return kGood;
}

}  // namespace

std::optional<int> RunCommand(int argc, const char* const* argv, Catalog& catalog) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "token") return RunToken(argc - 1, argv + 1);
  if (command != "backup" && command != "restore" && command != "check") return std::nullopt;
  // As in the server; and what is to be said is said by the commands.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  SetUpLog(ParseLogLevels("off").value(), LogFormat::kText);
  if (command == "backup") return RunBackup(argc - 1, argv + 1);
  if (command == "restore") return RunRestore(argc - 1, argv + 1, catalog);
  return RunCheck(argc - 1, argv + 1, catalog);
}

}  // namespace corod::maintenance
