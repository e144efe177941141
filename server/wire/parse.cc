#include "server/wire/parse.h"

#include <google/protobuf/io/coded_stream.h>

#include <cstdint>
#include <limits>

namespace corod::wire {

bool Parse(std::string_view bytes, google::protobuf::Message* message) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return false;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetRecursionLimit(kMaxNesting);
  return message->ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage();
}

}  // namespace corod::wire
