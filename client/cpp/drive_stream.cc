#include "client/cpp/drive_stream.h"

#include <iterator>
#include <utility>

namespace corod::client {
namespace {

// What travels together: well below the 4 MiB that a gRPC server takes by default.
constexpr int kBatchCommands = 500;
constexpr std::size_t kBatchBytes = std::size_t{512} << 10;

}  // namespace

DriveStream::DriveStream(std::shared_ptr<Connection> connection, DriveOptions options)
    : connection_(std::move(connection)),
      options_(options),
      request_id_prefix_(connection_->NewRequestId() + "-"),
      call_(connection_->OpenDrive()),
      retry_(connection_->NewRetry(absl::InfiniteFuture())),
      writer_(&DriveStream::WriteLoop, this) {}

DriveStream::~DriveStream() {
  Cancel();
  writer_.join();
  MutexLock lock(mutex_);
  if (result_) return;  // the call is finished
  v1::DriveResponse unread;
  while (call_->Read(&unread)) {
  }
  // The caller has left: there is nobody to tell how the cancelled call ended.
  static_cast<void>(call_->Finish());
}

bool DriveStream::IsFull(std::size_t bytes) const {
  if (commands_under_way_ == 0) return false;
  return commands_under_way_ >= options_.max_commands || bytes_under_way_ + bytes > options_.max_bytes;
}

absl::Status DriveStream::Push(v1::Command command) {
  const std::size_t bytes = command.ByteSizeLong();
  MutexLock lock(mutex_);
  while (!result_ && !cancelled_ && IsFull(bytes)) changed_.Wait(mutex_);
  if (result_) return *result_;
  if (cancelled_) return absl::CancelledError("the stream was cancelled");
  const std::uint64_t tag = command.tag();
  Complete(&command);
  pending_.emplace(last_number_, Pending{.command = std::move(command), .tag = tag, .bytes = bytes});
  ++commands_under_way_;
  bytes_under_way_ += bytes;
  changed_.NotifyAll();
  return absl::OkStatus();
}

void DriveStream::Complete(v1::Command* command) {
  command->set_tag(++last_number_);
  const bool creates = command->has_create();
  std::string* request_id = creates ? command->mutable_create()->mutable_request_id() : command->mutable_request_id();
  if (request_id->empty() && connection_->options().request_ids == RequestIds::kAutomatic) {
    *request_id = request_id_prefix_ + std::to_string(last_number_);
  }
  if (creates) {
    session_id_ = command->create().session_id();
  } else if (command->session_id().empty()) {
    command->set_session_id(session_id_);
  } else {
    session_id_ = command->session_id();
  }
}

void DriveStream::End() {
  MutexLock lock(mutex_);
  ended_ = true;
  changed_.NotifyAll();
}

void DriveStream::Cancel() {
  MutexLock lock(mutex_);
  cancelled_ = true;
  if (!result_) call_->Cancel();
  changed_.NotifyAll();
}

absl::StatusOr<std::optional<v1::Reply>> DriveStream::Read() {
  while (replies_.empty()) {
    {
      MutexLock lock(mutex_);
      if (cancelled_) return absl::CancelledError("the stream was cancelled");
      if (result_ && !result_->ok()) return *result_;
      if (result_) return std::optional<v1::Reply>();
    }
    v1::DriveResponse response;
    if (!call_->Read(&response)) {
      Recover();
    } else if (absl::Status status = Take(std::move(response)); !status.ok()) {
      Cancel();
      return status;
    }
  }
  Answered answered = std::move(replies_.front());
  replies_.pop_front();
  MutexLock lock(mutex_);
  --commands_under_way_;
  bytes_under_way_ -= answered.bytes;
  changed_.NotifyAll();
  return std::optional<v1::Reply>(std::move(answered.reply));
}

absl::Status DriveStream::Take(v1::DriveResponse response) {
  retry_.Restart();
  MutexLock lock(mutex_);
  for (v1::Reply& reply : *response.mutable_replies()) {
    const auto found = pending_.find(reply.tag());
    if (found == pending_.end()) return absl::InternalError("the server answered a command that has no reply coming");
    if (reply.has_failure()) refused_ = true;
    if (reply.has_created()) {
      // What follows the create has its session's id now, whichever call it travels on.
      for (auto next = std::next(found); next != pending_.end(); ++next) {
        v1::Command& command = next->second.command;
        if (!command.session_id().empty() || command.operation_case() == v1::Command::kCreate) break;
        command.set_session_id(reply.created().session().session_id());
      }
      if (found->first == last_number_ && session_id_.empty()) session_id_ = reply.created().session().session_id();
    }
    reply.set_tag(found->second.tag);
    replies_.push_back({std::move(reply), found->second.bytes});
    pending_.erase(found);
  }
  return absl::OkStatus();
}

void DriveStream::Recover() {
  {
    MutexLock lock(mutex_);
    call_works_ = false;
    while (writing_) changed_.Wait(mutex_);
  }
  const absl::Status status = call_->Finish();
  {
    MutexLock lock(mutex_);
    if (cancelled_) return EndWith(absl::CancelledError("the stream was cancelled"));
    // How the call ended does not matter once every command has had its reply.
    if (ended_ && pending_.empty()) return EndWith(absl::OkStatus());
    if (status.ok())
      return EndWith(absl::InternalError("the server ended the stream before it had answered every command"));
    if (!IsResumable()) return EndWith(status);
  }
  const bool again = retry_.WaitForNext(status);
  MutexLock lock(mutex_);
  if (cancelled_) return EndWith(absl::CancelledError("the stream was cancelled"));
  if (!again) return EndWith(status);
  call_ = connection_->OpenDrive();
  call_works_ = true;
  half_closed_ = false;
  last_written_ = 0;
  changed_.NotifyAll();
}

bool DriveStream::IsResumable() const {
  if (refused_) return false;
  for (const auto& [number, pending] : pending_) {
    const v1::Command& command = pending.command;
    if ((command.has_create() ? command.create().request_id() : command.request_id()).empty()) return false;
  }
  return true;
}

void DriveStream::EndWith(const absl::Status& why) {
  result_ = why;
  changed_.NotifyAll();
}

void DriveStream::Gather(v1::DriveRequest* request) {
  std::size_t bytes = 0;
  for (auto next = pending_.upper_bound(last_written_); next != pending_.end(); ++next) {
    bytes += next->second.bytes;
    if (request->commands_size() >= kBatchCommands || (request->commands_size() > 0 && bytes > kBatchBytes)) return;
    *request->add_commands() = next->second.command;
    last_written_ = next->first;
  }
}

void DriveStream::WriteLoop() {
  mutex_.Lock();
  while (true) {
    const bool has_commands = !pending_.empty() && pending_.rbegin()->first > last_written_;
    const bool may_half_close = ended_ && !half_closed_;
    if (result_ || cancelled_) break;
    if (!call_works_ || (!has_commands && !may_half_close)) {
      changed_.Wait(mutex_);
      continue;
    }
    v1::DriveRequest request;
    if (has_commands) {
      Gather(&request);
    } else {
      half_closed_ = true;
    }
    writing_ = true;
    mutex_.Unlock();
    const bool written = has_commands ? call_->Write(request) : call_->WritesDone();
    mutex_.Lock();
    writing_ = false;
    // Why it broke is the reader's to find out.
    call_works_ = call_works_ && written;
    changed_.NotifyAll();
  }
  mutex_.Unlock();
}

}  // namespace corod::client
