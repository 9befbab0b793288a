#include "archive/node_text.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/text.hpp"
#include "objstore/archive/snapshot_reader.hpp"

namespace tools {

using base::FileType;
using objstore::archive::ListedFile;

namespace {

const char* type_name(FileType type) {
    switch (type) {
        case FileType::regular: return "file";
        case FileType::directory: return "dir";
        case FileType::symlink: return "symlink";
        case FileType::fifo: return "fifo";
        case FileType::socket: return "socket";
        case FileType::character: return "chardev";
        case FileType::block: return "dev";
    }
    return "";
}

char type_letter(FileType type) {
    switch (type) {
        case FileType::regular: return '-';
        case FileType::directory: return 'd';
        case FileType::symlink: return 'l';
        case FileType::fifo: return 'p';
        case FileType::socket: return 's';
        case FileType::character: return 'c';
        case FileType::block: return 'b';
    }
    return '?';
}

/// "drwxr-sr-x", as ls -l has it.
std::string mode_text(FileType type, std::uint32_t mode) {
    std::string text(1, type_letter(type));
    constexpr std::string_view kLetters = "rwxrwxrwx";
    for (unsigned i = 0; i < 9; ++i) text += (mode & (0400U >> i)) != 0 ? kLetters[i] : '-';
    const auto special = [&](std::uint32_t bit, std::size_t at, char letter) {
        if ((mode & bit) == 0) return;
        text[at] = text[at] == 'x' ? letter : static_cast<char>(letter - 'a' + 'A');
    };
    special(04000, 3, 's');
    special(02000, 6, 's');
    special(01000, 9, 't');
    return text;
}

}  // namespace

std::string line_of(const ListedFile& file, bool long_format) {
    if (!long_format) return printable(file.path) + "\n";
    const auto& inode = file.inode;
    const std::string time = objstore::archive::is_leading(inode) ? "-" : local_time(inode.mtime);
    std::string text = fmt::format("{} {:>3} {:>5} {:>5} {:>12} {:19} {}", mode_text(inode.type, inode.mode),
                                   inode.nlink, inode.uid, inode.gid, inode.size, time, printable(file.path));
    if (inode.type == FileType::symlink) text += " -> " + printable(file.target);
    return text + "\n";
}

nlohmann::json to_json(const ListedFile& file) {
    const auto& inode = file.inode;
    nlohmann::json object{{"path", file.path},    {"type", type_name(inode.type)},
                          {"mode", inode.mode},   {"permissions", mode_text(inode.type, inode.mode)},
                          {"uid", inode.uid},     {"gid", inode.gid},
                          {"size", inode.size},   {"mtime", nullptr},
                          {"inode", file.number}, {"links", inode.nlink}};
    if (!objstore::archive::is_leading(inode)) object["mtime"] = rfc3339(inode.mtime);
    if (inode.type == FileType::symlink) object["linktarget"] = file.target;
    return object;
}

}  // namespace tools
