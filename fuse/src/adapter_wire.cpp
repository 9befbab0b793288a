#include "adapter_wire.hpp"

#include <linux/fuse.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace fusefs::wire {

namespace {

/// The body of the message as a T, or zeros.
template <class T>
T body(base::ByteView message) {
    T value{};
    if (message.size() >= sizeof(fuse_in_header) + sizeof(T))
        std::memcpy(&value, message.data() + sizeof(fuse_in_header), sizeof(T));
    return value;
}

}  // namespace

Request look_at(base::ByteView message) {
    Request request;
    fuse_in_header header{};
    if (message.size() < sizeof header) return request;
    std::memcpy(&header, message.data(), sizeof header);
    request.opcode = header.opcode;
    request.unique = header.unique;
    switch (header.opcode) {
        case FUSE_WRITE:
            request.drop_set_ids = (body<fuse_write_in>(message).write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
            break;
        case FUSE_SETATTR:
            request.drop_set_ids = (body<fuse_setattr_in>(message).valid & FATTR_KILL_SUIDGID) != 0;
            break;
        case FUSE_OPEN:
            request.drop_set_ids = (body<fuse_open_in>(message).open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
            break;
        case FUSE_INIT: {
            request.is_first = true;
            std::array<std::uint32_t, 4> words{};  // major, minor, readahead, flags
            if (message.size() >= sizeof header + sizeof words)
                std::memcpy(words.data(), message.data() + sizeof header, sizeof words);
            request.offers_killpriv_v2 = (words[3] & FUSE_HANDLE_KILLPRIV_V2) != 0;
            break;
        }
        default: break;
    }
    return request;
}

std::string_view name_of(std::uint32_t opcode) {
    static constexpr std::array<std::string_view, 50> kNames{"",
                                                             "lookup",
                                                             "forget",
                                                             "getattr",
                                                             "setattr",
                                                             "readlink",
                                                             "symlink",
                                                             "",
                                                             "mknod",
                                                             "mkdir",
                                                             "unlink",
                                                             "rmdir",
                                                             "rename",
                                                             "link",
                                                             "open",
                                                             "read",
                                                             "write",
                                                             "statfs",
                                                             "release",
                                                             "",
                                                             "fsync",
                                                             "setxattr",
                                                             "getxattr",
                                                             "listxattr",
                                                             "removexattr",
                                                             "flush",
                                                             "init",
                                                             "opendir",
                                                             "readdir",
                                                             "releasedir",
                                                             "fsyncdir",
                                                             "getlk",
                                                             "setlk",
                                                             "setlkw",
                                                             "access",
                                                             "create",
                                                             "interrupt",
                                                             "bmap",
                                                             "destroy",
                                                             "ioctl",
                                                             "poll",
                                                             "notify_reply",
                                                             "batch_forget",
                                                             "fallocate",
                                                             "readdirplus",
                                                             "rename2",
                                                             "lseek",
                                                             "copy_file_range",
                                                             "setupmapping",
                                                             "removemapping"};
    return opcode < kNames.size() ? kNames[opcode] : "other";
}

std::vector<std::uint8_t> take_killpriv_v2(const iovec* parts, int count, std::uint64_t first_unique) {
    std::vector<std::uint8_t> message;
    fuse_out_header header{};
    if (count != 2 || parts[0].iov_len != sizeof header) return message;
    std::memcpy(&header, parts[0].iov_base, sizeof header);
    constexpr std::size_t kFlags = offsetof(fuse_init_out, flags);
    std::uint32_t flags = 0;
    if (header.unique != first_unique || header.error != 0 || parts[1].iov_len < kFlags + sizeof flags) return message;
    for (int i = 0; i < count; ++i) {
        const auto* bytes = static_cast<const std::uint8_t*>(parts[i].iov_base);
        message.insert(message.end(), bytes, bytes + parts[i].iov_len);
    }
    auto* place = message.data() + sizeof header + kFlags;
    std::memcpy(&flags, place, sizeof flags);
    flags |= FUSE_HANDLE_KILLPRIV_V2;
    std::memcpy(place, &flags, sizeof flags);
    return message;
}

}  // namespace fusefs::wire
