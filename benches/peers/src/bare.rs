//! Gets the credentials by hand, without this library: `bare URL CA_FILE [steps]`.

use std::error::Error;

#[path = "../../footprint/src/bare.rs"]
mod bare;
#[cfg(feature = "extra")]
mod steps;

fn main() -> Result<(), Box<dyn Error>> {
    #[cfg(feature = "extra")]
    if let [_, url, ca_file, _] = &*std::env::args().collect::<Vec<_>>() {
        let mut agent = bare::agent(Some(ca_file))?;
        let mut identity = None;
        return steps::run(|restart| {
            if restart {
                agent = bare::agent(Some(ca_file))?;
            }
            let identity = match &identity {
                Some(identity) => identity,
                None => identity.insert(bare::get_id(&agent, url)?),
            };
            bare::get_key(&agent, url, identity)
        });
    }
    bare::main()
}
