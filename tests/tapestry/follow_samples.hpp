// One value of every message of followers, for golden bytes and the fuzzer's corpus.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "wire/codec_followers.hpp"

namespace tapestry::testing {

inline base::Guid sample_guid(std::uint8_t fill) {
    base::Guid::Array bytes{};
    bytes.fill(fill);
    return base::Guid{bytes};
}

inline Standing sample_standing() {
    return {.rank = {7, sample_guid(3), 2},
            .path = {sample_guid(2), sample_guid(3)},
            .delay = std::chrono::microseconds{41'500},
            .sequence = 12,
            .hash = sample_guid(4),
            .parent = {sample_guid(2), "two:7000"}};
}

inline View sample_view() {
    return {.standing = sample_standing(),
            .room = 14,
            .yielding = 1,
            .children = {{sample_guid(5), "five:7000"}, {sample_guid(6), "six:7000"}},
            .age = std::chrono::milliseconds{1'250}};
}

inline std::vector<std::pair<std::string, base::Message>> follow_samples() {
    const auto object = sample_guid(1);
    const Rank rank{6, sample_guid(3), 4};
    const base::SharedBytes body{base::to_bytes("the newest state")};
    return {{"look", encode(Look{object, rank, 11, true})},
            {"look_of_a_newcomer", encode(Look{object, {}, 0, false})},
            {"view", encode(sample_view(), body)},
            {"attach", encode(Attach{object, rank, 11, 3})},
            {"attach_reply", encode(AttachReply{Verdict::full, sample_view()}, {})},
            {"digest", encode(Digest{object, sample_standing(), true})},
            {"digested", encode(Digested{true, 12, 3})},
            {"push", encode(Push{object, 13}, body)},
            {"pushed", encode(Pushed{true, 13})},
            {"leave", encode(Leave{object, rank, {sample_guid(2), "two:7000"}})}};
}

}  // namespace tapestry::testing
