#include "server/plugin/elf_notes.h"

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstring>
#include <type_traits>

namespace corod {
namespace {

using FileHeader = ElfW(Ehdr);
using ProgramHeader = ElfW(Phdr);
using NoteHeader = ElfW(Nhdr);

constexpr unsigned char kClass = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
constexpr unsigned char kOrder = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;

// What of `bytes` lies at `offset`, `size` of it; empty if that is not all there.
std::string_view Part(std::string_view bytes, std::size_t offset, std::size_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset) return {};
  return bytes.substr(offset, size);
}

template <typename T>
std::optional<T> Read(std::string_view bytes, std::size_t offset) {
  static_assert(std::is_trivially_copyable_v<T>);
  const std::string_view part = Part(bytes, offset, sizeof(T));
  if (part.empty()) return std::nullopt;
  T read;
  part.copy(reinterpret_cast<char*>(&read), sizeof(T));
  return read;
}

// The notes of a segment, each of whose parts begins at a multiple of `alignment`.
void AddNotes(std::string_view segment, std::size_t alignment, std::string_view name, std::vector<ElfNote>& notes) {
  const auto aligned = [alignment](std::size_t size) { return (size + alignment - 1) / alignment * alignment; };
  for (std::size_t at = 0; const std::optional<NoteHeader> header = Read<NoteHeader>(segment, at);) {
    at += sizeof(NoteHeader);
    const std::string_view its_name = Part(segment, at, header->n_namesz);
    at += aligned(header->n_namesz);
    const std::string_view content = Part(segment, at, header->n_descsz);
    at += aligned(header->n_descsz);
    // A name ends with a byte 0.
    if (its_name.size() == name.size() + 1 && its_name.starts_with(name)) notes.push_back({header->n_type, content});
  }
}

}  // namespace

std::optional<std::vector<ElfNote>> ElfNotesOf(std::string_view file, std::string_view name) {
  const std::optional<FileHeader> header = Read<FileHeader>(file, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != kClass ||
      header->e_ident[EI_DATA] != kOrder || header->e_type != ET_DYN || header->e_phentsize != sizeof(ProgramHeader)) {
    return std::nullopt;
  }
  std::vector<ElfNote> notes;
  for (std::size_t i = 0; i < header->e_phnum; ++i) {
    // A sum that overflows would have needed an offset past the end of any file.
    if (header->e_phoff > file.size()) return std::nullopt;
    const std::optional<ProgramHeader> program = Read<ProgramHeader>(file, header->e_phoff + i * sizeof(ProgramHeader));
    if (!program) return std::nullopt;
    const std::string_view segment = Part(file, program->p_offset, program->p_filesz);
    // Whoever loads a library that is cut off is ended by SIGBUS.
    if (program->p_type == PT_LOAD && segment.size() != program->p_filesz) return std::nullopt;
    if (program->p_type == PT_NOTE) AddNotes(segment, program->p_align == 8 ? 8 : 4, name, notes);
  }
  return notes;
}

}  // namespace corod
