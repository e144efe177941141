#ifndef COROD_SERVER_AUTH_DIGEST_H_
#define COROD_SERVER_AUTH_DIGEST_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace corod {

using Digest = std::array<unsigned char, 32>;

// SHA-256 of `first` and then `second`. Safe from many threads.
Digest Sha256(std::string_view first, std::string_view second = {});

// Takes as long whether they are the same or not.
bool IsSame(const Digest& a, const Digest& b);

// Random bytes that nobody can guess.
std::string SecretBytes(std::size_t count);

}  // namespace corod

#endif  // COROD_SERVER_AUTH_DIGEST_H_
