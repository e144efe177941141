#include "client/cpp/export_stream.h"

#include <utility>

namespace corod::client {

ExportStream::ExportStream(std::shared_ptr<Connection> connection, std::string session_id)
    : connection_(std::move(connection)),
      session_id_(std::move(session_id)),
      retry_(connection_->NewRetry(absl::InfiniteFuture())) {}

absl::StatusOr<std::optional<std::string>> ExportStream::Next() {
  while (!result_) {
    if (!calls_.is_open()) {
      v1::ExportRequest request;
      request.set_session_id(session_id_);
      calls_.Open(connection_->OpenExport(request));
    }
    v1::ExportResponse response;
    if (calls_.Read(&response)) {
      began_ = true;
      return std::optional<std::string>(std::move(*response.mutable_chunk()));
    }
    const absl::Status status = calls_.status();
    const bool again = !status.ok() && !began_ && !calls_.cancelled() && retry_.WaitForNext(status);
    if (!again) result_ = status;
  }
  if (!result_->ok()) return *result_;
  return std::optional<std::string>();
}

absl::Status Export(const std::shared_ptr<Connection>& connection, const std::string& session_id, std::ostream& sink) {
  ExportStream stream(connection, session_id);
  while (true) {
    const absl::StatusOr<std::optional<std::string>> chunk = stream.Next();
    if (!chunk.ok()) return chunk.status();
    if (*chunk) {
      sink << **chunk;
    } else {
      sink.flush();
    }
    if (!sink) return absl::UnknownError("the export cannot be written");
    if (!*chunk) return absl::OkStatus();
  }
}

}  // namespace corod::client
