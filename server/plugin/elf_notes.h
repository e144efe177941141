#ifndef COROD_SERVER_PLUGIN_ELF_NOTES_H_
#define COROD_SERVER_PLUGIN_ELF_NOTES_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace corod {

// A note of an ELF file: bytes that the linker carries along for whoever looks for its name.
struct ElfNote {
  std::uint32_t type;
  std::string_view content;
};

// The notes named `name` of a shared library that is made for this kind of machine, in the order of the file; nullopt
// if `file`, its bytes, is none, or not all of one. Reads nothing outside of `file`, whatever is in it, which must
// outlive the answer.
std::optional<std::vector<ElfNote>> ElfNotesOf(std::string_view file, std::string_view name);

}  // namespace corod

#endif  // COROD_SERVER_PLUGIN_ELF_NOTES_H_
