#include "archive/tar.hpp"

#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <numeric>

namespace tools {

namespace {

using base::FileType;
using objstore::archive::DumpedFile;

constexpr std::size_t kBlock = 512;
constexpr std::size_t kNameBytes = 100;

/// Octal digits and a NUL in `width` bytes; zero where it does not fit (the extended header has it then).
std::string octal(std::uint64_t value, std::size_t width) {
    auto digits = fmt::format("{:0{}o}", value, width - 1);
    if (digits.size() > width - 1) digits.assign(width - 1, '0');
    return digits + '\0';
}

bool fits(std::uint64_t value, std::size_t width) { return value >> (3 * (width - 1)) == 0; }

std::string padded(std::string text, std::size_t width) {
    text.resize(width, '\0');
    return text;
}

struct Fields {
    std::string name;
    std::string link;
    std::uint64_t size = 0;
    std::uint32_t mode = 0, uid = 0, gid = 0;
    std::uint64_t mtime = 0;
    std::uint64_t rdev = 0;
    char type = '0';
};

std::string ustar(const Fields& fields) {
    std::string block = padded(fields.name, kNameBytes) + octal(fields.mode, 8) + octal(fields.uid, 8) +
                        octal(fields.gid, 8) + octal(fields.size, 12) + octal(fields.mtime, 12) + "        " +
                        fields.type + padded(fields.link, kNameBytes) + std::string{"ustar\00000", 8} +
                        std::string(64, '\0') + octal(major(fields.rdev), 8) + octal(minor(fields.rdev), 8);
    block.resize(kBlock, '\0');
    const auto add = [](unsigned sum, char c) { return sum + static_cast<unsigned char>(c); };
    const auto sum = std::accumulate(block.begin(), block.end(), 0U, add);
    block.replace(148, 8, octal(sum, 7) + ' ');
    return block;
}

/// "LENGTH key=value\n", where LENGTH counts itself.
std::string record(const std::string& key, std::string_view value) {
    const auto rest = key.size() + value.size() + 3;
    auto length = rest + 1;
    while (std::to_string(length).size() + rest != length) ++length;
    return fmt::format("{} {}=", length, key) + std::string{value} + "\n";
}

std::optional<char> type_of(const DumpedFile& file) {
    if (!file.first_name.empty()) return '1';
    switch (file.inode.type) {
        case FileType::regular: return '0';
        case FileType::symlink: return '2';
        case FileType::character: return '3';
        case FileType::block: return '4';
        case FileType::directory: return '5';
        case FileType::fifo: return '6';
        case FileType::socket: return std::nullopt;
    }
    return std::nullopt;
}

std::string without_slash(const std::string& path) { return path.starts_with('/') ? path.substr(1) : path; }

bool is_plain(const std::string& name) {
    return name.size() <= kNameBytes &&
           std::ranges::all_of(name, [](char c) { return static_cast<signed char>(c) >= 0; });
}

/// As GNU tar has it: a key ends at its first '='.
std::string escaped(const std::string& name) {
    std::string out;
    for (const char c : name) out += c == '%' ? "%25" : c == '=' ? "%3D" : std::string(1, c);
    return out;
}

std::string time_text(const base::Timestamp& time) {
    // pax counts from the second: -1.5 s is -2 s and half a second for us.
    if (time.seconds >= 0 || time.nanoseconds == 0) return fmt::format("{}.{:09}", time.seconds, time.nanoseconds);
    const auto whole = time.seconds + 1;
    return fmt::format("{}{}.{:09}", whole == 0 ? "-" : "", whole, 1'000'000'000 - time.nanoseconds);
}

std::string extended(const DumpedFile& file, const Fields& fields) {
    std::string records;
    // Names that are not UTF-8 go as they are: that is how GNU tar writes and reads them.
    if (!is_plain(fields.name)) records += record("path", fields.name);
    if (!is_plain(fields.link)) records += record("linkpath", fields.link);
    if (!fits(fields.size, 12)) records += record("size", std::to_string(fields.size));
    if (!fits(fields.uid, 8)) records += record("uid", std::to_string(fields.uid));
    if (!fits(fields.gid, 8)) records += record("gid", std::to_string(fields.gid));
    const auto& mtime = file.inode.mtime;
    if (mtime.nanoseconds != 0 || mtime.seconds < 0 || !fits(fields.mtime, 12))
        records += record("mtime", time_text(mtime));
    if (fields.type != '1') {
        for (const auto& xattr : file.xattrs) {
            records += record("SCHILY.xattr." + escaped(xattr.name), base::as_text(xattr.value));
        }
    }
    return records;
}

}  // namespace

std::optional<std::string> tar_header(const DumpedFile& file) {
    const auto type = type_of(file);
    if (!type) return std::nullopt;
    Fields fields;
    fields.type = *type;
    fields.name = without_slash(file.path) + (*type == '5' ? "/" : "");
    fields.link = *type == '1' ? without_slash(file.first_name) : file.target;
    fields.size = *type == '0' ? file.inode.size : 0;
    fields.mode = file.inode.mode;
    fields.uid = file.inode.uid;
    fields.gid = file.inode.gid;
    fields.mtime = static_cast<std::uint64_t>(std::max<std::int64_t>(0, file.inode.mtime.seconds));
    if (*type == '3' || *type == '4') fields.rdev = file.inode.rdev;
    const auto records = extended(file, fields);
    std::string out;
    if (!records.empty()) {
        Fields header;
        header.type = 'x';
        header.name = "PaxHeaders/" + fields.name;
        header.mode = 0644;
        header.size = records.size();
        header.name.resize(std::min(header.name.size(), kNameBytes));
        out = ustar(header) + records + tar_padding(records.size());
    }
    return out + ustar(fields);
}

std::string tar_padding(std::uint64_t content_bytes) {
    return std::string((kBlock - content_bytes % kBlock) % kBlock, '\0');
}

std::string tar_end() { return std::string(2 * kBlock, '\0'); }

}  // namespace tools
