//! The regions that have identity pools. They are used to find a misspelt region.
//!
//! They are the regions of `cognito-identity` in the endpoints that AWS publishes with its SDKs
//! (botocore 1.43), and on <https://docs.aws.amazon.com/general/latest/gr/cognito_identity.html>.
//! AWS may add regions, so a region that is not in the list is not an error by itself.

const REGIONS: [&str; 38] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

/// A name with more differences is another name, not a misspelt one.
const MAX_EDIT_DISTANCE: usize = 2;

/// Finds the first misspelt region in a text, and returns a hint with the region that is probably
/// meant.
pub(crate) fn misspelt_in(text: &str) -> Option<String> {
    let ends_word = |c: char| !c.is_ascii_alphanumeric() && c != '-';
    text.split(ends_word).find_map(|word| {
        let meant = meant_by(word)?;
        Some(format!("no region {word} is known here; did you mean {meant}?"))
    })
}

/// Returns `true` if a text says that `--region` contradicts an ID, and the region in the ID is
/// misspelt. Then `--region` may be right.
pub(crate) fn owner_is_misspelt(text: &str) -> bool {
    let owner = text.split_once("which is in region ").map_or("", |(_, owner)| owner);
    owner.split(';').next().and_then(misspelt_in).is_some()
}

/// Returns the known region that is nearest to a misspelt one.
fn meant_by(region: &str) -> Option<&'static str> {
    if !(6..=32).contains(&region.len()) || REGIONS.contains(&region) {
        return None;
    }
    let lower = region.to_ascii_lowercase();
    let changes = |known: &str| strsim::osa_distance(&lower, known);
    let (nearest, changes) =
        REGIONS.iter().map(|known| (*known, changes(known))).min_by_key(|(_, changes)| *changes)?;
    (changes <= MAX_EDIT_DISTANCE).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_misspelt_region_gets_a_suggestion() {
        let rows = [
            ("us-esat-1", Some("us-east-1")),
            ("us-east1", Some("us-east-1")),
            ("useast1", Some("us-east-1")),
            ("US-EAST-1", Some("us-east-1")),
            ("us-eats-2", Some("us-east-2")),
            ("eu-wset-1", Some("eu-west-1")),
            ("eu-cental-1", Some("eu-central-1")),
            ("ap-southest-2", Some("ap-southeast-2")),
            ("us-east-1", None),
            ("us-gov-west-1", None),
            ("local", None),
            ("localhost", None),
            ("us-isob-east-1", None),
            ("cognito-identity", None),
            ("amazonaws", None),
            ("", None),
        ];
        for (region, meant) in rows {
            assert_eq!(meant_by(region), meant, "{region}");
        }
        let said = "could not connect to cognito-identity.us-esat-1.amazonaws.com:443: no address";
        let expected = "no region us-esat-1 is known here; did you mean us-east-1?";
        assert_eq!(misspelt_in(said).as_deref(), Some(expected));
    }

    #[test]
    fn the_regions_are_sorted_and_no_region_counts_as_misspelt() {
        assert!(REGIONS.is_sorted());
        assert!(REGIONS.iter().all(|region| meant_by(region).is_none()));
    }
}
