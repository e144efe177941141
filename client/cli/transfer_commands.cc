// export and import: a session's log as a file.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/interrupts.h"
#include "client/cli/report.h"
#include "client/cpp/export_stream.h"
#include "server/base/uuid.h"

namespace corod::cli {
namespace {

constexpr std::size_t kChunk = std::size_t{64} << 10;

std::string LastError() { return std::generic_category().message(errno); }

// Says what is wrong with a file or a stream of this side.
int Tell(const std::string& what, int status, Context& context) {
  context.output.Flush();
  context.output.Tell(absl::StrCat("coroctl: ", what));
  return status;
}

// A file that appears under its name when it is whole, and never in parts.
class NewFile {
 public:
  NewFile(std::string name, const std::string& unique)
      : name_(std::move(name)), part_(absl::StrCat(name_, ".", unique, ".part")) {}
  ~NewFile() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(part_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  // False: errno says why. So do the others.
  bool Open() {
    fd_ = open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return fd_ >= 0;
  }
  bool Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno != EINTR) return false;
      if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }
  bool Keep() {
    if (fsync(fd_) != 0 || rename(part_.c_str(), name_.c_str()) != 0) return false;
    close(std::exchange(fd_, -1));
    return true;
  }

 private:
  const std::string name_;
  const std::string part_;
  int fd_ = -1;
};

// Hands each part to `write` (false: it failed, and told). nullopt: the export is whole; else the exit status.
template <typename Write>
std::optional<int> Receive(client::ExportStream& stream, Write write, Context& context) {
  while (true) {
    const absl::StatusOr<std::optional<std::string>> chunk = stream.Next();
    if (stream.cancelled()) return kFine;
    if (!chunk.ok()) return ReportFailure(chunk.status(), context);
    if (!*chunk) return std::nullopt;
    if (const std::optional<int> failed = write(**chunk)) return failed;
  }
}

int ExportToStdout(client::ExportStream& stream, Context& context) {
  const auto write = [&context](const std::string& chunk) -> std::optional<int> {
    context.output.Write(chunk);
    // What is wrong with stdout is told at the end of all commands.
    return context.output.Flush() ? std::nullopt : std::optional(kFine);
  };
  return Receive(stream, write, context).value_or(kFine);
}

int ExportToFile(client::ExportStream& stream, const std::string& name, Context& context) {
  const auto fail = [&name, &context] {
    return Tell(absl::StrCat("cannot write ", name, ": ", LastError()), kServiceFailed, context);
  };
  struct stat there = {};
  if (stat(name.c_str(), &there) == 0 && !S_ISREG(there.st_mode))
    return Tell(absl::StrCat("cannot write ", name, ": not a regular file"), kWrongUsage, context);
  NewFile file(name, RandomUuid(*context.dependencies.random));
  if (!file.Open()) return fail();
  const auto write = [&file, &fail](const std::string& chunk) -> std::optional<int> {
    return file.Write(chunk) ? std::nullopt : std::optional(fail());
  };
  if (const std::optional<int> status = Receive(stream, write, context)) return *status;
  return file.Keep() ? kFine : fail();
}

// A file descriptor that is closed at the end, unless it is stdin.
class Source {
 public:
  // "-" is stdin.
  Source(const std::string& name, int in)
      : is_stdin_(name == "-"), fd_(is_stdin_ ? in : open(name.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~Source() {
    if (!is_stdin_ && fd_ >= 0) close(fd_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  int fd() const { return fd_; }
  // Empty: the end. nullopt: errno says why.
  std::optional<std::string> Read() const {
    std::string bytes(kChunk, '\0');
    while (true) {
      const ssize_t size = read(fd_, bytes.data(), bytes.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return std::nullopt;
      bytes.resize(static_cast<std::size_t>(size));
      return bytes;
    }
  }

 private:
  const bool is_stdin_;
  const int fd_;
};

}  // namespace

int RunCommand(const ExportArguments& arguments, Context& context) {
  const bool to_stdout = arguments.file == "-";
  if (to_stdout && context.io.out_is_terminal)
    return Tell("an export is no text for a terminal; name a file with -o", kWrongUsage, context);
  client::ExportStream stream(context.connection, arguments.session_id);
  const Interrupts interrupts([&stream](int /*signal*/) { stream.Cancel(); });
  const int status = to_stdout ? ExportToStdout(stream, context) : ExportToFile(stream, arguments.file, context);
  return interrupts.signal() != 0 ? kSignal + interrupts.signal() : status;
}

int RunCommand(const ImportArguments& arguments, Context& context) {
  const std::string name = arguments.file == "-" ? "stdin" : arguments.file;
  const Source source(arguments.file, context.io.in);
  if (arguments.file == "-" && isatty(source.fd()) == 1)
    return Tell("stdin is a terminal; name the file to import", kWrongUsage, context);
  // What is wrong with the file, and not with the service.
  std::string wrong;
  if (source.fd() < 0) return Tell(absl::StrCat("cannot read ", name, ": ", LastError()), kWrongUsage, context);
  bool began = false;
  const absl::StatusOr<v1::ImportResponse> response =
      context.connection->Import(arguments.session_id, [&]() -> absl::StatusOr<std::string> {
        std::optional<std::string> bytes = source.Read();
        if (!bytes) wrong = absl::StrCat("cannot read ", name, ": ", LastError());
        if (bytes && bytes->empty() && !began) wrong = absl::StrCat(name, " is empty: it holds no export");
        began = true;
        if (!wrong.empty()) return absl::InvalidArgumentError(wrong);
        return *std::move(bytes);
      });
  if (!wrong.empty()) return Tell(wrong, kWrongUsage, context);
  if (!response.ok()) return ReportFailure(response.status(), context);
  return ReportNewSession(response->session(), context);
}

}  // namespace corod::cli
