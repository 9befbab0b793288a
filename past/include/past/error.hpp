// What can go wrong with blocks and records, and what is true afterwards.
#pragma once

#include <system_error>

namespace past {

enum class Errc {
    block_not_found = 1,  ///< Every holder answered and none has the block: damage, never "no such file".
    holders_unreachable,  ///< Not enough holders answered in time; nothing is known about the block or record.
    too_few_copies,       ///< Fewer than a majority acknowledged; the copies that were stored remain.
    below_min_copies,     ///< Fewer live holders than the policy's min_copies; refused before anything was stored.
    no_space,             ///< A holder is full; refused before it acknowledged; what it held is intact.
    corrupt_block,        ///< The bytes did not hash to their id; they were not returned.
    too_large,            ///< Above kMaxBlockBytes; refused before any byte left this node.
    conflict,             ///< The record is not at the sequence the writer expected; nothing was changed.
    bad_record,           ///< The record's certificate did not verify; it was not taken.
    not_owner,            ///< The reclaim is not signed by the tag's owner; nothing was dropped.
    kept_by_others,       ///< The record has other holders, whose majority decides; nothing was given back.
    too_many_tags,        ///< A block is kept for as many volumes as it may be, and not for this one; none was stored.
};

[[nodiscard]] const std::error_category& error_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(Errc value) noexcept {
    return {static_cast<int>(value), error_category()};
}

}  // namespace past

template <>
struct std::is_error_code_enum<past::Errc> : std::true_type {};
