// Errors as the kernel knows them. Who changes nothing says so.
#include "fuse/files.hpp"

#include <cerrno>

namespace fusefs {

namespace {

base::Error read_only() { return {std::make_error_code(std::errc::read_only_file_system)}; }

bool is_plain_errno(const std::error_code& code) {
    return code.category() == std::generic_category() || code.category() == std::system_category();
}

}  // namespace

int error_number(const base::Error& error) {
    const auto& code = error.code();
    if (is_plain_errno(code)) return code.value();
    const auto condition = code.default_error_condition();
    for (const auto told : {std::errc::no_space_on_device, std::errc::read_only_file_system}) {
        if (condition == told) return static_cast<int>(told);
    }
    return EIO;
}

Files::Reply<EntryReply> Files::make_node(Caller /*caller*/, NodeId /*directory*/, std::string /*name*/,
                                          base::FileType /*type*/, std::uint32_t /*mode*/, std::uint64_t /*rdev*/) {
    co_return read_only();
}
Files::Reply<EntryReply> Files::make_symlink(Caller /*caller*/, NodeId /*directory*/, std::string /*name*/,
                                             std::string /*target*/) {
    co_return read_only();
}
Files::Reply<EntryReply> Files::link(NodeId /*node*/, NodeId /*directory*/, std::string /*name*/) {
    co_return read_only();
}
Files::Reply<void> Files::unlink(NodeId /*directory*/, std::string /*name*/) { co_return read_only(); }
Files::Reply<void> Files::remove_directory(NodeId /*directory*/, std::string /*name*/) { co_return read_only(); }
Files::Reply<void> Files::rename(NodeId /*from*/, std::string /*name*/, NodeId /*to*/, std::string /*new_name*/,
                                 RenameFlag /*flag*/) {
    co_return read_only();
}
Files::Reply<Attributes> Files::set_attributes(NodeId /*node*/, AttributeRequest /*request*/) { co_return read_only(); }
Files::Reply<void> Files::set_xattr(Caller /*caller*/, NodeId /*node*/, std::string /*name*/, base::Bytes /*value*/,
                                    SetXattrFlag /*flag*/) {
    co_return read_only();
}
Files::Reply<void> Files::remove_xattr(NodeId /*node*/, std::string /*name*/) { co_return read_only(); }
Files::Reply<CreateReply> Files::create(Caller /*caller*/, NodeId /*directory*/, std::string /*name*/,
                                        std::uint32_t /*mode*/, OpenFlags /*flags*/) {
    co_return read_only();
}
Files::Reply<void> Files::write(WriteRequest /*request*/, base::ByteView /*bytes*/) { co_return read_only(); }
Files::Reply<void> Files::allocate(AllocateRequest /*request*/) { co_return read_only(); }
Files::Reply<std::uint64_t> Files::copy_range(CopyRequest /*request*/) { co_return read_only(); }

}  // namespace fusefs
