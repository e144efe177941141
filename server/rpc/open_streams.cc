#include "server/rpc/open_streams.h"

#include <string>
#include <vector>

#include "server/base/failure.h"

namespace corod::rpc {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);

}  // namespace

absl::Status ReaderTooSlow(absl::Duration timeout) {
  return Doubtful(Reason::READER_TOO_SLOW,
                  "nothing of what this stream has to say was read for " + absl::FormatDuration(timeout) +
                      "; read while you send, and send what has no answer again with its request id",
                  {{"timeout", absl::FormatDuration(timeout)}});
}

void OpenStreams::Add(OpenStream* stream) {
  const MutexLock lock(mutex_);
  streams_.insert(stream);
}

void OpenStreams::Remove(OpenStream* stream) {
  const MutexLock lock(mutex_);
  streams_.erase(stream);
}

void OpenStreams::Look(absl::Time now) {
  if (now - looked_ < kInterval && now >= looked_) return;
  looked_ = now;
  std::vector<IntrusivePtr<OpenStream>> streams;
  {
    const MutexLock lock(mutex_);
    streams.reserve(streams_.size());
    for (OpenStream* stream : streams_) streams.emplace_back(stream);
  }
  for (const IntrusivePtr<OpenStream>& stream : streams) stream->Look(now, timeout_);
}

}  // namespace corod::rpc
