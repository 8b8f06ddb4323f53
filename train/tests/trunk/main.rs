//! Trunks with residual blocks: from file to file and from float to int8 they stay what they are, and as int8 they
//! run in whole numbers from the picture to the answer.

mod files;
mod made_up;
mod quantising;
mod whole_numbers;
