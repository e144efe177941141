#include "server/plugin/elf_notes.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace corod {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

MATCHER_P2(IsNote, type, content, "") { return arg.type == type && arg.content == content; }

template <typename T>
std::string BytesOf(const T& object) {
  return {reinterpret_cast<const char*>(&object), sizeof(T)};
}

// A name as it is in a note, with its end.
std::string Ended(std::string name) {
  name.push_back('\0');
  return name;
}
const std::string kName = Ended("corod");

// A note as a linker lays it out.
std::string Note(const std::string& name, std::uint32_t type, const std::string& content, std::size_t alignment = 4) {
  const auto padded = [alignment](std::string part) {
    part.resize((part.size() + alignment - 1) / alignment * alignment);
    return part;
  };
  const ElfW(Nhdr) header = {static_cast<std::uint32_t>(name.size()), static_cast<std::uint32_t>(content.size()), type};
  return BytesOf(header) + padded(name) + padded(content);
}

// A shared library of nothing but segments of notes.
class Library {
 public:
  Library() {
    std::memcpy(header_.e_ident, ELFMAG, SELFMAG);
    header_.e_ident[EI_CLASS] = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
    header_.e_ident[EI_DATA] = ELFDATA2LSB;
    header_.e_type = ET_DYN;
    header_.e_phentsize = sizeof(ElfW(Phdr));
    header_.e_phoff = sizeof(header_);
  }

  Library& Add(const std::string& notes, std::size_t alignment = 4, std::uint32_t type = PT_NOTE) {
    ElfW(Phdr) program = {};
    program.p_type = type;
    program.p_align = alignment;
    program.p_filesz = notes.size();
    programs_.push_back(program);
    segments_ += notes;
    return *this;
  }

  std::string Bytes() {
    header_.e_phnum = static_cast<std::uint16_t>(programs_.size());
    std::string bytes = BytesOf(header_);
    std::size_t offset = sizeof(header_) + programs_.size() * sizeof(ElfW(Phdr));
    for (ElfW(Phdr) program : programs_) {
      program.p_offset = offset;
      offset += program.p_filesz;
      bytes += BytesOf(program);
    }
    return bytes + segments_;
  }

  ElfW(Ehdr) & header() { return header_; }

 private:
  ElfW(Ehdr) header_ = {};
  std::vector<ElfW(Phdr)> programs_;
  std::string segments_;
};

TEST(ElfNotesOf, FindsTheNotesOfAName) {
  const std::string bytes =
      Library()
          .Add("code", 16, PT_LOAD)
          .Add(Note(Ended("GNU"), 3, "build") + Note(kName, 1, "first") + Note(kName, 2, "next one"))
          .Add(Note(kName, 1, "aligned", 8) + Note(kName, 1, "to eight", 8), 8)
          .Add(Note(Ended("corods"), 1, "another") + Note("corod", 1, "without end"))
          .Bytes();
  EXPECT_THAT(ElfNotesOf(bytes, "corod"), Optional(ElementsAre(IsNote(1u, "first"), IsNote(2u, "next one"),
                                                               IsNote(1u, "aligned"), IsNote(1u, "to eight"))));
}

TEST(ElfNotesOf, ALibraryMayHaveNone) {
  EXPECT_THAT(ElfNotesOf(Library().Bytes(), "corod"), Optional(IsEmpty()));
  EXPECT_THAT(ElfNotesOf(Library().Add(Note(Ended("GNU"), 3, "build")).Bytes(), "corod"), Optional(IsEmpty()));
}

TEST(ElfNotesOf, WhatIsNoSharedLibraryForThisMachineHasNoNotes) {
  EXPECT_EQ(ElfNotesOf("", "corod"), std::nullopt);
  EXPECT_EQ(ElfNotesOf("#!/bin/sh\necho a script that is longer than the header of a library would be\n", "corod"),
            std::nullopt);
  Library program;
  program.header().e_type = ET_EXEC;
  EXPECT_EQ(ElfNotesOf(program.Bytes(), "corod"), std::nullopt);
  Library narrow;
  narrow.header().e_ident[EI_CLASS] = sizeof(void*) == 8 ? ELFCLASS32 : ELFCLASS64;
  EXPECT_EQ(ElfNotesOf(narrow.Bytes(), "corod"), std::nullopt);
  Library swapped;
  swapped.header().e_ident[EI_DATA] = ELFDATA2MSB;
  EXPECT_EQ(ElfNotesOf(swapped.Bytes(), "corod"), std::nullopt);
}

TEST(ElfNotesOf, StaysWithinTheFile) {
  const std::string bytes = Library().Add(Note(kName, 1, "content")).Bytes();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // In memory of its own, so that a sanitizer sees a byte too many.
    const std::vector<char> file(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    ElfNotesOf({file.data(), file.size()}, "corod");
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const char damage : {'\x00', '\x01', '\x7f', '\x80', '\xff'}) {
      std::vector<char> file(bytes.begin(), bytes.end());
      file[at] = damage;
      ElfNotesOf({file.data(), file.size()}, "corod");
    }
  }
  const std::string code = Library().Add(Note(kName, 1, "content")).Add("code", 16, PT_LOAD).Bytes();
  EXPECT_THAT(ElfNotesOf(code, "corod"), Optional(ElementsAre(IsNote(1u, "content"))));
  EXPECT_EQ(ElfNotesOf(code.substr(0, code.size() - 1), "corod"), std::nullopt);
  Library outside;
  outside.header().e_phoff = ~std::size_t{0} - 8;
  EXPECT_EQ(ElfNotesOf(outside.Add("").Bytes(), "corod"), std::nullopt);
}

}  // namespace
}  // namespace corod
