#include "daemon/health.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/text.hpp"

namespace tools {

namespace {

/// Who is missing, and the way on without them.
std::string without(const nlohmann::json& missing) {
    if (missing.empty()) return "";
    return "; no answer from " + listed(missing) + " ('pelago network remove NODE' for one that is gone for good)";
}

nlohmann::json away(const nlohmann::json& status) {
    auto names = nlohmann::json::array();
    if (!status.contains("overlay")) return names;
    for (const auto& node : status["overlay"].value("absent", nlohmann::json::array())) {
        names.push_back(node.at("id").get<std::string>().substr(0, 8));
    }
    return names;
}

/// Why copies that are missing are not there yet.
std::string because(const nlohmann::json& status) {
    const auto refusing = status.at("past").value("refusing", nlohmann::json::array());
    if (!refusing.empty()) return "; " + listed(refusing) + " took nothing more: no room, or a disk that failed";
    const auto missing = away(status);
    return missing.empty() ? "; they are being made" : "; away: " + listed(missing);
}

}  // namespace

std::string listed(const nlohmann::json& nodes) {
    std::string names;
    for (const auto& node : nodes) names += (names.empty() ? "" : ", ") + node.get<std::string>();
    return names;
}

std::optional<Trouble> diagnose(const nlohmann::json& status) {
    const auto& store = status.at("store");
    const auto& past = status.at("past");
    if (status.contains("removed_by")) {
        return Trouble{ExitCode::unreachable, "node " + status["removed_by"].get<std::string>().substr(0, 8) +
                                                  " says that this machine was removed from the network for good: stop "
                                                  "its node, then 'pelago network leave --force' forgets that network "
                                                  "here, and it can join again"};
    }
    if (status.at("state") == "client") return std::nullopt;  // it keeps nothing that could need looking after
    if (status.at("state") != "active") {
        return Trouble{ExitCode::unreachable, "the node is not part of the ring yet: no other member answers"};
    }
    if (store.at("read_only").get<bool>()) {
        return Trouble{ExitCode::damage, "the store's disk failed: it keeps serving, but takes nothing new"};
    }
    const auto silent = static_cast<std::uint64_t>(
        std::ranges::count_if(status.at("members"), [](const auto& member) { return member.at("state") == "silent"; }));
    if (const auto files = store.at("unreadable_segments").get<std::uint64_t>(); files != 0) {
        return Trouble{ExitCode::damage, plural(files, "file", "files") +
                                             " of the store cannot be read: what they hold counts as missing here"};
    }
    if (past.at("live_holders").get<unsigned>() < past.at("min_copies").get<unsigned>()) {
        return Trouble{ExitCode::unreachable,
                       "fewer nodes are up than min-copies: nothing can be stored" + without(away(status))};
    }
    if (const auto lost = past.at("blocks_lost").get<std::uint64_t>(); lost != 0) {
        return Trouble{ExitCode::damage, plural(lost, "block was", "blocks were") +
                                             " damaged on this node's disk, and no good copy has come yet"};
    }
    if (const auto stuck = past.at("registers_without_majority").get<std::uint64_t>(); stuck != 0) {
        return Trouble{ExitCode::unreachable, "too few of the nodes that keep the newest state of " +
                                                  plural(stuck, "volume", "volumes") +
                                                  " are up: nothing can be added there" +
                                                  without(past.value("registers_missing", nlohmann::json::array()))};
    }
    if (past.at("blocks_short").get<std::uint64_t>() != 0) {
        return Trouble{ExitCode::partial, plural(past.at("blocks_short"), "block has", "blocks have") +
                                              " fewer copies than there should be" + because(status)};
    }
    if (silent > 0) {
        return Trouble{ExitCode::partial, plural(silent, "member does", "members do") +
                                              " not answer: which blocks are short of copies is not known yet"};
    }
    const auto ours = past.at("blocks_ours").get<std::uint64_t>();
    if (const auto whole = past.at("blocks_whole").get<std::uint64_t>(); whole < ours) {
        return Trouble{ExitCode::partial,
                       "of " + plural(ours - whole, "block", "blocks") +
                           " it is not known yet whether all copies are there: the holders are being asked"};
    }
    if (store.at("disk_bytes").get<std::uint64_t>() + store.at("reserve_bytes").get<std::uint64_t>() >=
        store.at("capacity_bytes").get<std::uint64_t>()) {
        return Trouble{ExitCode::no_space, "the store is full: puts are refused"};
    }
    if (store.at("index_bytes").get<std::uint64_t>() >= store.at("max_index_bytes").get<std::uint64_t>()) {
        return Trouble{ExitCode::no_space,
                       "the store has as many blocks as its index may take memory for: puts are refused"};
    }
    return std::nullopt;
}

}  // namespace tools
